"""Who may import whom: ops <- layers <- backbones, sparse <- engine, and nobody imports the tools."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'lkdense'

# part of the package -> what it may import besides the standard library and itself
ALLOWED = {
    'lkdense.ops': {'torch', 'triton'},
    'lkdense.layers': {'torch', 'lkdense.ops'},
    'lkdense.checkpoint': {'torch'},
    'lkdense.checkpoint_file': {'torch', 'numpy', 'safetensors'},
    'lkdense.sparse': {'torch'},
    'lkdense.classification': {'torch', 'numpy', 'mmengine', 'PIL'},
    'lkdense.backbones': {
        'torch',
        'mmengine',
        'lkdense.layers',
        'lkdense.checkpoint',
        'lkdense.checkpoint_file',
    },
    'lkdense.analysis': {'torch', 'numpy', 'matplotlib', 'yaml'},
    'lkdense.engine': {'torch', 'numpy', 'mmengine', 'lkdense'},
}


def imports(source: str, module: str, is_package: bool = False) -> set[str]:
    """Full dotted names of all that ``source``, the text of ``module``, imports, at any depth of indentation."""
    package = module if is_package else module.rpartition('.')[0]
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = '.'.join(package.split('.')[: len(package.split('.')) - node.level + 1]) if node.level else ''
            origin = '.'.join(filter(None, [above, node.module]))
            # `from lkdense import ops` imports lkdense.ops
            names.update(f'{origin}.{alias.name}' for alias in node.names)
    return names


def within(name: str, parents: set[str]) -> bool:
    return any(name == parent or name.startswith(f'{parent}.') for parent in parents)


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """The imports of ``module`` that its part of the package may not make."""
    names = {name for name in imports(source, module, is_package) if name.split('.')[0] not in sys.stdlib_module_names}
    if part := next((part for part in ALLOWED if within(module, {part})), None):
        return sorted(name for name in names if not within(name, ALLOWED[part] | {part}))
    # commands are at the top: the tools and nothing else runs them
    above = {'tools'} if within(module, {'lkdense.commands', 'lkdense.__main__'}) else {'tools', 'lkdense.commands'}
    return sorted(name for name in names if within(name, above))


def modules() -> dict[str, Path]:
    files = {}
    for path in PACKAGE.rglob('*.py'):
        parts = path.relative_to(ROOT).with_suffix('').parts
        files['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return files


@pytest.mark.parametrize(('module', 'path'), sorted(modules().items()), ids=sorted(modules()))
def test_imports_go_one_way(module, path):
    assert not violations(path.read_text(), module, path.name == '__init__.py')


def test_the_rules_are_about_modules_that_exist():
    assert 'lkdense.ops' in modules()
    assert 'lkdense.backbones' in modules()


@pytest.mark.parametrize(
    ('module', 'source', 'wrong'),
    [
        ('lkdense.ops.depthwise', 'import mmengine', 'mmengine'),
        ('lkdense.ops.depthwise', 'from ..layers import norm', 'lkdense.layers.norm'),
        ('lkdense.layers.norm', 'from .. import backbones', 'lkdense.backbones'),
        ('lkdense.layers.norm', 'def f():\n    from mmengine.model import BaseModule', 'mmengine.model.BaseModule'),
        ('lkdense.backbones.slak', 'from mmcv.cnn import ConvModule', 'mmcv.cnn.ConvModule'),
        ('lkdense.backbones.slak', 'from lkdense import engine', 'lkdense.engine'),
        ('lkdense.checkpoint', 'import numpy as np', 'numpy'),
        ('lkdense.sparse', 'from .engine import sparse_hook', 'lkdense.engine.sparse_hook'),
        ('lkdense.engine.layer_decay', 'import mmseg', 'mmseg'),
        ('lkdense.analysis.erf', 'from tools import train', 'tools.train'),
    ],
)
def test_a_wrong_import_is_found(module, source, wrong):
    assert violations(source, module) == [wrong]


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        (
            'lkdense.ops.depthwise',
            'import os\nfrom torch import Tensor\nfrom . import _eager\nfrom ._cost_model import preference',
        ),
        ('lkdense.layers.depthwise', 'from ..ops import depthwise_conv2d'),
        (
            'lkdense.backbones.slak',
            'from mmengine.registry import MODELS\nfrom ..layers import LayerNorm\nfrom .base import X',
        ),
        ('lkdense.engine.sparse_hook', 'from lkdense.sparse import SparseMasks'),
    ],
)
def test_a_right_import_is_not(module, source):
    assert violations(source, module) == []


def test_import_lkdense_loads_no_host_but_mmengine():
    code = 'import sys, lkdense; print(*{name.split(".")[0] for name in sys.modules})'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {'lkdense', 'mmengine'} <= loaded
    assert not loaded & {'mmcv', 'mmdet', 'mmseg'}
