"""Every backbone in the list is complete, and every complete backbone is in the list."""

import inspect
import re
import sys
import types
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import torch
from mmengine.registry import MODELS

import lkdense
from lkdense import backbones
from lkdense.backbones import FAMILIES, StagedBackbone
from lkdense.backbones.recognition import recognise

ROOT = Path(__file__).parents[2]
CONFIGS = [path.stem for path in (ROOT / 'configs').glob('*.py')]
PAPER = re.compile(r'"[^"]+".*https://arxiv\.org/abs/\d{4}\.\d{5}', re.DOTALL)


def missing_parts(family: str, module_name: str, cases: dict, configs: list[str]) -> list[str]:
    """Return what a backbone still needs, a sentence each."""
    try:
        module = import_module(f'lkdense.backbones.{module_name}')
    except ModuleNotFoundError:
        return [f'there is no backbones/{module_name}.py']

    cls = getattr(module, family, None)
    if not inspect.isclass(cls) or not issubclass(cls, StagedBackbone):
        return [f'backbones/{module_name}.py defines no StagedBackbone named {family}']

    missing = []
    if not PAPER.search(module.__doc__ or ''):
        missing.append(f'the docstring of backbones/{module_name}.py names no paper: its title in quotes and its link')
    if not getattr(module, 'ARCHS', None):
        missing.append(f'backbones/{module_name}.py has no ARCHS')
    if 'KEY_MAP' not in vars(cls):
        missing.append(f'{family} has no KEY_MAP')
    if inspect.isabstract(cls):
        missing.append(f'{family} does not define {", ".join(sorted(cls.__abstractmethods__))}')
    if '>>>' not in (cls.__doc__ or ''):
        missing.append(f'the docstring of {family} has no example')
    if MODELS.get(family) is not cls:
        missing.append(f'{family} is not registered: @MODELS.register_module()')
    if family not in lkdense.__all__ or getattr(lkdense, family) is not cls:
        missing.append(f'lkdense.{family} is not exported')
    if not any(f'_{module_name}_' in config for config in configs):
        missing.append(f'there is no config configs/*_{module_name}_*.py')
    if not cases.get(family):
        missing.append(f'CASES in tests/backbones/conftest.py has no variant of {family}')
    elif not inspect.isabstract(cls):
        missing += unrecognised(cls, cases[family])

    return missing


def unrecognised(cls: type, variants: dict) -> list[str]:
    """Return the variants of a backbone that are not rebuilt from their own weights."""
    problems = []
    for name, arguments in variants.items():
        with torch.device('meta'):
            weights = cls(**arguments).state_dict()
            try:
                checkpoint = recognise(weights)
            except ValueError as error:
                problems.append(f'{name} is not recognised: {error}')
                continue
            rebuilt = checkpoint.family(**checkpoint.arguments).state_dict()

        if shapes(rebuilt) != shapes(weights):
            problems.append(f'{name} is recognised as {checkpoint.backbone}, which has other weights')

    return problems


def shapes(weights: dict) -> dict:
    return {name: weight.shape for name, weight in weights.items()}


@pytest.mark.parametrize('family', FAMILIES)
def test_a_backbone_in_the_list_has_all_its_parts(family, cases):
    missing = missing_parts(family, FAMILIES[family], cases, CONFIGS)
    assert not missing, '\n'.join(missing)


def test_a_backbone_in_a_file_is_in_the_list():
    for module in iter_modules(backbones.__path__):
        import_module(f'lkdense.backbones.{module.name}')

    unlisted = []
    for cls in subclasses(StagedBackbone):
        is_ours = cls.__module__.startswith('lkdense.backbones.') and not inspect.isabstract(cls)
        if is_ours and cls.__name__ not in FAMILIES:
            unlisted.append(f'{cls.__module__} defines {cls.__name__}, which FAMILIES does not list')

    assert not unlisted, '\n'.join(unlisted)


def subclasses(cls: type) -> list[type]:
    below = []
    for subclass in cls.__subclasses__():
        below += [subclass, *subclasses(subclass)]

    return below


def test_a_half_finished_backbone_is_told_what_it_lacks(monkeypatch):
    class Unfinished(StagedBackbone):
        """A backbone without anything."""

    module = types.ModuleType('lkdense.backbones.unfinished', 'No paper.')
    module.Unfinished = Unfinished
    monkeypatch.setitem(sys.modules, module.__name__, module)

    missing = '\n'.join(missing_parts('Unfinished', 'unfinished', {}, ['upernet_slak_t_ade20k']))
    for part in (
        'no paper',
        'no ARCHS',
        'no KEY_MAP',
        'does not define arguments_of',
        'no example',
        'not registered',
        'not exported',
        r'no config configs/\*_unfinished_\*',
        'CASES in .* has no variant of Unfinished',
    ):
        assert re.search(part, missing), part
    assert len(missing.splitlines()) == 9
    assert missing_parts('OtherNet', 'othernet', {}, []) == ['there is no backbones/othernet.py']
    assert missing_parts('OtherNet', 'unfinished', {}, []) == [
        'backbones/unfinished.py defines no StagedBackbone named OtherNet'
    ]
