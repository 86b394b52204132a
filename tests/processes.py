"""Commands in processes of their own, as a user starts them, without importing everything anew for each.

:func:`run_command` forks them off a server process that has imported lkdense and its hosts once. :func:`run_program`
starts a program from nothing, for tests about just that: what is imported and printed on the way, and shell scripts.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 3600  # A process that takes longer hangs.
SERVER = multiprocessing.get_context('forkserver')
SERVER.set_forkserver_preload(['lkdense.commands.train', 'lkdense.commands.test', 'mmseg.models', 'mmdet.models'])


def run_command(folder: Path, *words, fails: bool = False, **environment) -> subprocess.CompletedProcess:
    """Run ``tools/train.py`` and the like, or ``lkdense VERB``, inside ``folder``.

    Args:
        folder: the current folder of the process.
        words: the name of a file of tools/ or a verb, and its arguments.
        fails: whether the process has to end with exit code 1 rather than 0.
        environment: variables for this process.
    """
    words = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as place:
        outputs = Path(place, 'stdout'), Path(place, 'stderr')
        process = SERVER.Process(target=_run, args=(folder, words, outputs, environment))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
        printed = [path.read_text() for path in outputs]

    return _checked(subprocess.CompletedProcess(words, process.exitcode, *printed), fails)


def run_program(folder: Path, *words, fails: bool = False, **environment) -> subprocess.CompletedProcess:
    """Start a program from nothing; a file of tools/ is started as such. Arguments as of :func:`run_command`."""
    done = subprocess.run(
        command(*words), cwd=folder, env=variables(**environment), capture_output=True, text=True, timeout=SECONDS
    )

    return _checked(done, fails)


def command(name: str, *words) -> list[str]:
    """Return the command line of a file of tools/ or, if there is none of that name, of ``lkdense VERB``."""
    words = [str(word) for word in words]
    path = ROOT / 'tools' / name
    if not path.is_file():
        return [sys.executable, '-m', 'lkdense', name, *words]

    return ['bash' if path.suffix == '.sh' else sys.executable, str(path), *words]


def variables(**more) -> dict[str, str]:
    """Return the environment of a process that is to find this lkdense and to take one thread."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': path, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1', **more}


def _checked(done: subprocess.CompletedProcess, fails: bool) -> subprocess.CompletedProcess:
    assert done.returncode == int(fails), f'{done.args}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}'
    return done


def _run(folder: Path, words: list[str], outputs: tuple[Path, Path], environment: dict[str, str]) -> None:
    os.chdir(folder)
    os.environ.update(variables(**environment))
    for number, path in enumerate(outputs, start=1):
        with path.open('w') as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = os.fdopen(1, 'w', buffering=1), os.fdopen(2, 'w', buffering=1)

    name = words[0]
    try:
        if name.endswith('.py'):
            sys.argv = [str(ROOT / 'tools' / name), *words[1:]]
            runpy.run_path(sys.argv[0], run_name='__main__')
        else:
            sys.argv = ['lkdense', *words]
            runpy.run_module('lkdense', run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1

    # Python prints an exit code that is a text, and exits with 1.
    if isinstance(code, str):
        sys.stderr.write(f'{code}\n')
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
