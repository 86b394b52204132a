"""Checkpoint files, PyTorch's own and safetensors: read without running what they contain, written whole or not at all.

A checkpoint is a pickle, and unpickling one can run any code. What is read here consists of tensors and plain values; a
file with other objects is refused by name, unless its user trusts it.
"""

import argparse
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import add_safe_globals
from torch.torch_version import TorchVersion

from ..errors import UserError

SAFETENSORS = '.safetensors'
TRUST_OPTION = '--trust-checkpoint'
# Variables of torch.load: tensors only, whatever its caller says; and anything, where its caller says nothing.
TENSORS_ONLY, ANYTHING = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'

# Dotted names of what checkpoints may hold beside tensors, and the objects as `add_safe_globals` takes them.
ALLOWED: dict[str, Any] = {}


class CheckpointError(UserError, ValueError):
    """A file that is no checkpoint, is damaged, holds more than tensors and plain values, or does not fit the model."""


def allow(kind: Callable, name: str | None = None) -> None:
    """Let checkpoints hold a type, or what a function returns, that is known to do nothing else.

    Args:
        kind: the type or function.
        name: the dotted name by which checkpoints refer to it, where that is another; not before PyTorch 2.6.
    """
    if name is None:
        ALLOWED[f'{kind.__module__}.{kind.__qualname__}'] = kind
    elif TorchVersion(torch.__version__) >= '2.6':
        ALLOWED[name] = (kind, name)


# Authors keep plain data beside their weights: options of the command line, and scores in NumPy's types.
for plain in (argparse.Namespace, np.ndarray, np.dtype):
    allow(plain)
for dtype in ('float64', 'float32', 'int64', 'int32', 'uint8', 'bool'):
    allow(type(np.dtype(dtype)))
for array in (np.zeros(1), np.float64(0)):
    # This function rebuilds an array or a number from its bytes.
    rebuild: Any = array.__reduce__()[0]
    # NumPy 1 pickles by the first of these names, NumPy 2 by the second.
    for core in ('core', '_core'):
        allow(rebuild, f'numpy.{core}.multiarray.{rebuild.__name__}')


def read(path: str | Path, mmap: bool = False) -> dict:
    """Return the checkpoint in a file, on the CPU; of a safetensors file, its tensors.

    Args:
        path: a file of ``torch.save`` in either of its formats, or of safetensors.
        mmap: leave tensors in the file until they are used, where the format allows it.

    Raises:
        CheckpointError: it is not there, is none, is damaged, or holds other objects and is not trusted.
    """
    path = Path(path)
    if path.suffix == SAFETENSORS:
        return _read_safetensors(path)
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path}')

    mmap = mmap and zipfile.is_zipfile(path)
    try:
        _verify_checksums(path)
        with tensors_only():
            checkpoint = torch.load(path, map_location='cpu', mmap=mmap, weights_only=not _trusted())
    except Exception as error:
        # Unpickling a file that is no pickle can raise anything.
        raise CheckpointError(explain(path, error)) from None

    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f'{path} is not a checkpoint: it holds a {type(checkpoint).__name__}, not a dict')

    return dict(checkpoint)


def write(checkpoint: Mapping, path: str | Path) -> None:
    """Write a checkpoint in the format of the file's suffix; an interruption leaves what was there before.

    Raises:
        ValueError: the suffix is that of safetensors, which holds tensors only, and the checkpoint holds other things.
    """
    path = Path(path)
    other = [key for key, value in checkpoint.items() if not isinstance(value, Tensor)]
    if path.suffix == SAFETENSORS and other:
        raise ValueError(f'a {SAFETENSORS} file holds tensors only, got {", ".join(other[:3])}; give a .pth')

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    if path.suffix == SAFETENSORS:
        _safetensors().save_file({key: value.contiguous() for key, value in checkpoint.items()}, partial)
    else:
        torch.save(checkpoint, partial)

    os.replace(partial, path)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Let every ``torch.load`` inside, whoever calls it, read tensors and plain values only.

    It changes nothing after :func:`trust_checkpoints`, or where the user has set PyTorch's variable for that.
    """
    if _trusted():
        yield
        return

    # MMEngine takes its own entries off torch's list when it is done, and ours with them: so they are added each time.
    add_safe_globals(list(ALLOWED.values()))
    before = os.environ.get(TENSORS_ONLY)
    os.environ[TENSORS_ONLY] = '1'

    try:
        yield
    finally:
        del os.environ[TENSORS_ONLY]
        if before is not None:
            os.environ[TENSORS_ONLY] = before


def trust_checkpoints() -> None:
    """Let this process unpickle any object from now on, which can run any code."""
    os.environ[ANYTHING] = '1'


def objects_in(path: str | Path) -> list[str]:
    """Return the dotted names of all that a file of ``torch.save`` refers to, unpickling nothing."""
    names, strings = set(), []

    for opcode, value in _opcodes(path):
        if opcode.name == 'GLOBAL':
            names.add(value.replace(' ', '.').replace('__builtin__.', 'builtins.'))
        elif opcode.name == 'STACK_GLOBAL':
            # It takes module and name off the stack: they are the last two strings that were put there.
            names.add('.'.join(strings[-2:]))
        elif isinstance(value, str):
            strings.append(value)

    return sorted(names)


def explain(path: str | Path, error: Exception) -> str:
    """Return one sentence for an error of ``torch.load`` on ``path``."""
    if isinstance(error, pickle.UnpicklingError):
        names = objects_in(path) if Path(path).is_file() else re.findall(r'GLOBAL (\S+)', str(error))
        other = [name for name in names if not _is_plain(name)]
        if other:
            return (
                f'{path} holds more than tensors and plain values: {", ".join(other)}. To unpickle them can run any '
                f'code; if you trust the file, say {TRUST_OPTION}'
            )

    # After this phrase torch goes on for a page about its own options.
    reason = str(error).strip().split('\n')[0].split(', do those steps')[0]
    return f'{path} is not a checkpoint, or is damaged ({type(error).__name__}: {reason})'


def _trusted() -> bool:
    return os.environ.get(ANYTHING, '0') != '0'


def _verify_checksums(path: Path) -> None:
    # Torch writes checksums and never looks at them.
    if not zipfile.is_zipfile(path):
        return

    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise ValueError(f'{damaged} in it does not have its checksum')


def _is_plain(name: str) -> bool:
    return name in ALLOWED or name.startswith(('torch.', 'collections.', '_codecs.'))


def _opcodes(path: str | Path) -> Iterator[tuple[pickletools.OpcodeInfo, Any]]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith('.pkl')]
            for name in pickles:
                for opcode, value, _ in pickletools.genops(archive.read(name)):
                    yield opcode, value
        return

    # The older format has several pickles in a row, then the bytes of the tensors, which are no pickle.
    with Path(path).open('rb') as file:
        try:
            while file.peek(1):
                for opcode, value, _ in pickletools.genops(file):
                    yield opcode, value
        except ValueError:
            return


def _safetensors():
    try:
        import safetensors.torch
    except ImportError:
        raise CheckpointError(f"{SAFETENSORS} files need safetensors: pip install 'lkdense[safetensors]'") from None

    return safetensors.torch


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    load = _safetensors().load_file
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path}')

    try:
        return load(path)
    except Exception as error:
        # The library raises a type of its own, which it makes in Rust.
        raise CheckpointError(explain(path, error)) from None
