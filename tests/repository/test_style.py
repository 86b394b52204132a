"""The style that ruff cannot check, read from the syntax tree.

``python tests/repository/test_style.py [FILE ...]`` lists the offences, by default those of the whole repository.
It needs the standard library only, so it can run before a commit without an environment.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ('lkdense', 'tools', 'dev', 'benchmarks', 'tests')
LONG = 15  # lines of code in a function

Offences = Iterator[tuple[int, str]]  # line number and what is wrong there

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LAYOUT_TOKENS = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}

RELATIVE_OPENING = re.compile(r'(of|which|whose|among which|with which)\b', re.IGNORECASE)
LOWER_CASE_WORD = re.compile(r"(?!(torch|mm\w*)\b)[a-z]+('s)?[,;:]?(\s|$)")
PRAGMA = re.compile(r'(!|noqa|fmt:|type:|pyright:|pragma:)')


@dataclass
class Comment:
    """The rest of a line of code, or a block of whole lines."""

    first_line: int
    last_line: int
    column: int
    text: str
    stands_alone: bool


@dataclass
class Source:
    """One file, taken apart for the rules."""

    tree: ast.Module
    code_lines: set[int]
    blank_lines: set[int]
    comments: list[Comment]


@cache
def read_source(text: str) -> Source:
    code_lines, covered_lines, comments = set(), set(), []

    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in LAYOUT_TOKENS:
            continue

        first, last = token.start[0], token.end[0]
        covered_lines.update(range(first, last + 1))
        if token.type == tokenize.COMMENT:
            add_comment(comments, token)
        else:
            # The lines within a long string are data, so only its ends count as code.
            code_lines.update((first, last))

    blank_lines = set(range(1, text.count('\n') + 1)) - covered_lines
    return Source(ast.parse(text), code_lines, blank_lines, comments)


def add_comment(comments: list[Comment], token: tokenize.TokenInfo) -> None:
    (line, column), text = token.start, token.string.lstrip('#').strip()
    stands_alone = not token.line[:column].strip()

    previous = comments[-1] if comments else None
    continues = previous and stands_alone and (previous.last_line, previous.column) == (line - 1, column)
    if continues:
        previous.text = f'{previous.text} {text}'.strip()
        previous.last_line = line
    elif not PRAGMA.match(text):
        comments.append(Comment(line, line, column, text, stands_alone))


def breathes(source: Source) -> Offences:
    """A function of 15 lines of code or more has a blank line between its steps."""
    for function in ast.walk(source.tree):
        if not isinstance(function, FUNCTIONS):
            continue

        docstring_lines = set()
        steps = function.body
        if ast.get_docstring(function, clean=False) is not None:
            docstring_lines = set(range(steps[0].lineno, steps[0].end_lineno + 1))
            steps = steps[1:]
        if not steps:
            continue

        code_lines = source.code_lines & set(range(function.lineno, function.end_lineno + 1)) - docstring_lines
        inside = range(steps[0].lineno, steps[-1].end_lineno + 1)
        if len(code_lines) >= LONG and source.blank_lines.isdisjoint(inside):
            yield function.lineno, f'{function.name} has {len(code_lines)} lines of code and no blank line'


def comments_open_with_a_subject(source: Source) -> Offences:
    """No comment opens with a relative clause, as its noun would stand elsewhere."""
    for comment in source.comments:
        if opening := RELATIVE_OPENING.match(comment.text):
            yield comment.first_line, f'the comment opens with "{opening[0]}": {comment.text[:60]}'


def comments_are_sentences(source: Source) -> Offences:
    """A comment on its own line opens with a capital, a figure or code; one of several lines ends like a sentence."""
    for comment in source.comments:
        if not comment.stands_alone:
            continue

        if LOWER_CASE_WORD.match(comment.text):
            yield comment.first_line, f'the comment opens in lower case: {comment.text[:60]}'
        if comment.last_line > comment.first_line and not comment.text.endswith(('.', '!', '?', ':')):
            yield comment.last_line, f'the comment has no end: {comment.text[-60:]}'


def rounds_up_in_words(source: Source) -> Offences:
    """``math.ceil(a / b)`` or a name says what ``-(-a // b)`` hides."""
    for node in ast.walk(source.tree):
        match node:
            case ast.UnaryOp(ast.USub(), ast.BinOp(ast.UnaryOp(ast.USub()), ast.FloorDiv())):
                yield node.lineno, f'write math.ceil rather than {ast.unparse(node)}'


def conditional_expressions_assign_nothing(source: Source) -> Offences:
    """No walrus inside a conditional expression."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.IfExp) and contains(node, ast.NamedExpr):
            yield node.lineno, 'a walrus inside a conditional expression'


def comprehensions_are_shallow(source: Source) -> Offences:
    """No comprehension inside a comprehension inside a call."""
    nested = set()
    for call in ast.walk(source.tree):
        if not isinstance(call, ast.Call):
            continue
        for node in ast.walk(call):
            if isinstance(node, COMPREHENSIONS) and contains(node, COMPREHENSIONS):
                nested.add(node.lineno)

    for line in sorted(nested):
        yield line, 'a comprehension inside a comprehension inside a call'


def contains(node: ast.AST, kinds: type | tuple[type, ...]) -> bool:
    return any(isinstance(inner, kinds) for inner in ast.walk(node) if inner is not node)


RULES = (
    breathes,
    comments_open_with_a_subject,
    comments_are_sentences,
    rounds_up_in_words,
    conditional_expressions_assign_nothing,
    comprehensions_are_shallow,
)


def list_files() -> list[Path]:
    """The tracked Python files that are code."""
    patterns = [f'{folder}/*.py' for folder in FOLDERS]
    listing = subprocess.run(
        ['git', 'ls-files', '--', *patterns], cwd=ROOT, check=True, capture_output=True, encoding='utf-8'
    )
    paths = [ROOT / line for line in listing.stdout.splitlines()]
    return [path for path in paths if path.exists()]


def list_offences(paths: list[Path], rules=RULES) -> list[str]:
    offences = []
    for path in paths:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        source = read_source(path.read_text(encoding='utf-8'))
        for rule in rules:
            offences += [f'{name}:{line}: {rule.__name__}: {offence}' for line, offence in rule(source)]

    return offences


def assert_obeyed(rule) -> None:
    paths = list_files()
    assert paths
    offences = list_offences(paths, [rule])
    assert not offences, '\n'.join([rule.__doc__, *offences])


def test_long_functions_breathe():
    assert_obeyed(breathes)


def test_comments_open_with_a_subject():
    assert_obeyed(comments_open_with_a_subject)


def test_comments_are_sentences():
    assert_obeyed(comments_are_sentences)


def test_rounding_up_is_said_in_words():
    assert_obeyed(rounds_up_in_words)


def test_conditional_expressions_assign_nothing():
    assert_obeyed(conditional_expressions_assign_nothing)


def test_comprehensions_inside_calls_are_shallow():
    assert_obeyed(comprehensions_are_shallow)


def test_pre_commit_runs_the_ruff_of_the_constraints():
    hooks = (ROOT / '.pre-commit-config.yaml').read_text(encoding='utf-8')
    constraints = (ROOT / 'constraints.txt').read_text(encoding='utf-8')
    before_commit = re.search(r'ruff-pre-commit\s+rev: v(\S+)', hooks)[1]
    assert f'\nruff=={before_commit}\n' in constraints


def lines_found(rule, text: str) -> list[int]:
    return [line for line, _ in rule(read_source(text))]


def long_function(*, gap: str, steps: int = 14) -> str:
    half = '    step()\n' * (steps // 2)
    return f'def work():\n    """What it does.\n\n    More.\n    """\n{half}{gap}{half}'


def test_a_long_function_without_a_blank_line_is_found():
    assert lines_found(breathes, long_function(gap='')) == [1]
    assert lines_found(breathes, long_function(gap='    # A comment is no gap.\n')) == [1]
    assert lines_found(breathes, long_function(gap='    text = """\n\n"""\n')) == [1]


def test_a_long_function_with_a_blank_line_and_a_short_one_without_pass():
    assert lines_found(breathes, long_function(gap='\n')) == []
    assert lines_found(breathes, long_function(gap='', steps=12)) == []
    assert lines_found(breathes, 'class Short:\n' + '    value = 1\n' * 20) == []


def test_comments_without_a_subject_are_found():
    assert lines_found(comments_open_with_a_subject, '# Which would round.\n# This is inside.\n') == [1]
    assert lines_found(comments_open_with_a_subject, 'LINE = 18  # of pixels\n') == [1]
    assert lines_found(comments_open_with_a_subject, 'def f():\n    # among which one is\n    pass\n') == [2]


def test_a_relative_clause_on_the_second_line_of_a_comment_passes():
    assert lines_found(comments_open_with_a_subject, '# Autocast would cast them,\n# which loses bits.\n') == []
    assert lines_found(comments_open_with_a_subject, "text = '# of a string'  # offset: pixels\n") == []


def test_comments_that_are_no_sentences_are_found():
    assert lines_found(comments_are_sentences, '# the least\nLEAST = 1\n') == [1]
    assert lines_found(comments_are_sentences, '# It begins well\n# and goes on\n') == [2]


def test_sentences_labels_code_and_pragmas_pass():
    pragmas = '#!/usr/bin/env python\n# noqa: E501\n'
    sentences = '# It ends\n# here.\n\n# `x` is one\n\n# mmseg has it.\n\n# x.y is an attribute\n'
    label = 'LINE = 18  # pixels\n'
    assert lines_found(comments_are_sentences, pragmas + sentences + label) == []


def test_rounding_up_by_two_signs_is_found():
    assert lines_found(rounds_up_in_words, 'tiles = -(-size // tile)\nhalf = -(size // 2)\n') == [1]


def test_an_assignment_in_a_conditional_expression_is_found():
    assert lines_found(
        conditional_expressions_assign_nothing, 'y = x if (x := f()) else 0\nif x := f():\n    pass\n'
    ) == [1]


def test_nested_comprehensions_in_a_call_are_found():
    nested = 'total = sum(sum(x for x in row) for row in rows)\n'
    outside = 'rows = [[1 for _ in row] for row in rows]\n'
    assert lines_found(comprehensions_are_shallow, nested + outside) == [1]


if __name__ == '__main__':
    sys.exit('\n'.join(list_offences([Path(name).resolve() for name in sys.argv[1:]] or list_files())))
