"""Who may import whom: the plan of the house, read off the import statements.

A room is a folder or a module at the root of the package. A room may import the rooms of its line in ``PLAN``, all of
which stand above it there, so that there is one way down; nothing imports ``commands`` but the package's entry point.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'lkdense'

# Room: the rooms that it may import. Bottom first.
PLAN = {
    'errors': '',
    'config': 'errors',
    'ops': '',
    'layers': 'ops',
    'checkpoints': 'errors',
    'analysis': '',
    'backbones': 'checkpoints errors layers ops',
    'classification': '',
    'models': 'backbones checkpoints classification errors',
    'training': 'checkpoints config errors models ops',
    'inference': 'backbones classification config errors layers models',
    'data': 'config errors inference training',
    'swap': 'analysis backbones config errors models',
    'study': 'analysis config data errors inference models',
    'serve': 'analysis errors inference',
    'commands': ('analysis backbones checkpoints config data errors inference models serve study swap training'),
    '__main__': 'commands',
}
# Room, or module that differs from its room: the packages that it may import; rooms without a line may import any.
PACKAGES = {
    'errors': '',
    'config': 'mmengine',
    'ops': 'torch triton',
    'layers': 'torch',
    'checkpoints': 'torch numpy safetensors',
    'checkpoints.mmengine': 'torch mmengine',
    'training.sparse_masks': 'torch',
    'analysis': 'torch numpy matplotlib',
    'backbones': 'torch mmengine',
    'classification': 'torch numpy mmengine PIL',
    'models': 'torch mmengine',
    'training': 'torch numpy mmengine',
    '__init__': '',
}
HOSTS = {'mmcv', 'mmdet', 'mmseg', 'mmpretrain'}


def imports(source: str, module: str, is_package: bool = False) -> set[str]:
    """Return the full dotted names of all that ``source``, the text of ``module``, imports, at any indentation."""
    package = module if is_package else module.rpartition('.')[0]
    names = set()

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split('.')
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = '.'.join([*base, node.module] if node.module else base)
            # `from lkdense import ops` imports lkdense.ops.
            names.update(f'{origin}.{alias.name}' for alias in node.names)

    return names


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return the imports of ``module`` that the plan does not have."""
    inside = module.split('.')[1:] or ['__init__']
    room = inside[0]
    allowed_rooms = {*PLAN.get(room, 'backbones').split(), room}
    packages = PACKAGES.get('.'.join(inside), PACKAGES.get(room))

    wrong = []
    for name in imports(source, module, is_package):
        top, *rest = name.split('.')
        if top in sys.stdlib_module_names:
            continue

        if top == 'lkdense':
            # The version is the one name of the package itself that others import.
            fits = rest == ['__version__'] or rest[0] in allowed_rooms
        else:
            fits = top not in ('tools', 'dev', 'tests') and (packages is None or top in packages.split())

        if not fits:
            wrong.append(name)

    return sorted(wrong)


def modules() -> dict[str, Path]:
    """Return the path of every module of the package."""
    files = {}
    for path in PACKAGE.rglob('*.py'):
        parts = path.relative_to(ROOT).with_suffix('').parts
        files['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path

    return files


@pytest.mark.parametrize(('module', 'path'), sorted(modules().items()), ids=sorted(modules()))
def test_imports_follow_the_plan(module, path):
    assert not violations(path.read_text(), module, path.name == '__init__.py')


def test_the_plan_goes_one_way_down():
    order = list(PLAN)
    for room, below in PLAN.items():
        assert all(order.index(other) < order.index(room) for other in below.split()), room


def test_the_plan_is_of_the_rooms_that_exist():
    rooms = {module.split('.')[1] for module in modules() if '.' in module}
    assert rooms == set(PLAN)
    assert all(f'lkdense.{name}' in modules() for name in PACKAGES if name != '__init__')


def test_no_room_is_allowed_what_it_does_not_use():
    used = {room: set() for room in PLAN}
    for module, path in modules().items():
        room = module.split('.')[1] if '.' in module else None
        for name in imports(path.read_text(), module, path.name == '__init__.py'):
            if room and name.startswith('lkdense.'):
                used[room].add(name.split('.')[1])

    for room, below in PLAN.items():
        assert set(below.split()) <= used[room], room


def test_nothing_below_the_front_door_imports_commands():
    assert [room for room, below in PLAN.items() if 'commands' in below.split()] == ['__main__']


@pytest.mark.parametrize('module', sorted(modules()))
def test_no_argparse_outside_of_commands(module):
    # A checkpoint may hold the options of its authors' command line, which the reader has to know.
    if module.startswith('lkdense.commands') or module == 'lkdense.checkpoints.file':
        return

    assert 'argparse' not in {name.split('.')[0] for name in imports(modules()[module].read_text(), module)}


@pytest.mark.parametrize(
    ('module', 'source', 'wrong'),
    [
        ('lkdense.ops.depthwise', 'import mmengine', 'mmengine'),
        ('lkdense.ops.depthwise', 'from ..layers import norm', 'lkdense.layers.norm'),
        ('lkdense.layers.norm', 'from .. import backbones', 'lkdense.backbones'),
        ('lkdense.layers.norm', 'def f():\n    from mmengine.model import BaseModule', 'mmengine.model.BaseModule'),
        ('lkdense.backbones.slak', 'from mmcv.cnn import ConvModule', 'mmcv.cnn.ConvModule'),
        ('lkdense.backbones.slak', 'from lkdense import training', 'lkdense.training'),
        ('lkdense.checkpoints.keys', 'import mmengine', 'mmengine'),
        ('lkdense.training.sparse_masks', 'import numpy as np', 'numpy'),
        ('lkdense.training.layer_decay', 'import mmseg', 'mmseg'),
        ('lkdense.analysis.erf', 'from ..models import load_model', 'lkdense.models.load_model'),
        ('lkdense.analysis.erf', 'from tools import train', 'tools.train'),
        ('lkdense.study.cell', 'from ..commands import run', 'lkdense.commands.run'),
        (
            'lkdense.serve.app',
            'from lkdense.commands._options import load_config',
            'lkdense.commands._options.load_config',
        ),
    ],
)
def test_a_wrong_import_is_found(module, source, wrong):
    assert violations(source, module) == [wrong]


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('lkdense.ops.depthwise', 'import os\nfrom torch import Tensor\nfrom . import _eager\nfrom ._cpu import run'),
        ('lkdense.layers.depthwise', 'from ..ops import depthwise_conv2d'),
        (
            'lkdense.backbones.slak',
            'from mmengine.registry import MODELS\nfrom ..layers import GELU\nfrom .base import X',
        ),
        ('lkdense.checkpoints.mmengine', 'from mmengine.logging import HistoryBuffer\nfrom .file import allow'),
        ('lkdense.training.sparse_hook', 'from lkdense.training.sparse_masks import SparseMasks'),
        ('lkdense.commands.convert', 'from .. import __version__'),
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
    assert not loaded & HOSTS
