"""Examples in docstrings run, and every public name has one."""

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The rooms whose names people import. Those of the others are for the rest of the package and for its commands.
PUBLIC_ROOMS = tuple(
    f'lkdense{room}' for room in ('', '.ops', '.layers', '.backbones', '.classification', '.training', '.analysis')
)


def find_modules_with_examples() -> list[str]:
    modules = []
    for path in sorted((ROOT / 'lkdense').rglob('*.py')):
        if '>>>' in path.read_text(encoding='utf-8'):
            parts = path.relative_to(ROOT).with_suffix('').parts
            modules.append('.'.join(parts).removesuffix('.__init__'))

    return modules


def find_public_names() -> dict[str, object]:
    """Public name -> the class or function; a constant has no docstring of its own."""
    public = {}
    for room in map(import_module, PUBLIC_ROOMS):
        for name in room.__all__:
            value = getattr(room, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                public[f'{room.__name__}.{name}'] = value

    return public


def has_example(value: object) -> bool:
    """Whether the docstring of a class or function, or that of a class's own ``__init__``, has an example."""
    docstrings = [value.__doc__]
    if inspect.isclass(value) and '__init__' in vars(value):
        docstrings.append(value.__init__.__doc__)

    return any(doctest.DocTestParser().get_examples(text or '') for text in docstrings)


@pytest.mark.parametrize('module', find_modules_with_examples())
def test_examples_give_what_they_say(module, capsys):
    failures, examples = doctest.testmod(import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert examples, f'{module} has >>> in no docstring'
    assert not failures, capsys.readouterr().out


@pytest.mark.parametrize(('name', 'value'), find_public_names().items(), ids=find_public_names())
def test_every_public_name_has_an_example(name, value):
    assert has_example(value), f'{name} has no example (>>> ...) in its docstring'


def test_a_docstring_without_an_example_is_found():
    def documented():
        """Say nothing of how to call it."""

    class Documented:
        """A class whose method has the only example.

        It is not in the docstring of the class.
        """

        def method(self):
            """>>> 1 + 1"""

    assert not has_example(documented)
    assert not has_example(Documented)
    assert has_example(doctest.testmod) is False
    assert has_example(doctest.DocTestRunner)


def test_a_wrong_example_fails():
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    example = parser.get_doctest('>>> 1 + 1\n3\n', {}, 'wrong', None, None)
    assert runner.run(example, out=lambda text: None).failed == 1
