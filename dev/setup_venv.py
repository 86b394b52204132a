"""Make or mend ``.venv``: torch, the mm packages, then lkdense itself, editable. The Makefile calls it.

``python3 dev/setup_venv.py`` installs the exact versions of constraints.txt from where pip is configured to look.
In a folder named in ``PIP_FIND_LINKS`` a CPU wheel of torch saves gigabytes of CUDA libraries, and a compiled wheel of
onedl-mmcv saves the compilation.

``--borrow`` (``make PYTHON=...``) lets ``.venv`` see the packages of the environment whose python runs this script, and
keeps the torch found there, whatever its version. Nothing is written into that environment: what it lacks, or has in
another version, goes into ``.venv``.

It may be interrupted anywhere and run again: pip skips what is installed, and the compiler goes on where it was.
"""

import argparse
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
LOG = VENV / 'setup.log'
CONSTRAINTS = VENV / 'constraints.txt'
# It names the Python that packages are borrowed from; the Makefile reads it.
BORROWED = VENV / 'borrowed'
# It holds the wheel of mmcv, or the source while that is compiled.
MMCV = VENV / 'mmcv'
HEARTBEAT = 30  # seconds

CANNOT_COMPILE = """mmcv's operators cannot be compiled: that takes a C++17 compiler and the headers of Python.
    Debian, Ubuntu:  apt install g++ python3-dev
    Fedora:          dnf install gcc-c++ python3-devel
    macOS:           xcode-select --install
A compiled wheel of onedl-mmcv in a folder named in PIP_FIND_LINKS does as well.
{compiler}: {said}"""
NO_NVCC = """- a GPU but no nvcc: mmcv's operators are compiled for the CPU only, and detection needs them on the GPU.
  For that install the CUDA toolkit that torch was built with, remove .venv and run this again"""


def say(text):
    print(text, flush=True)


def stop(text):
    sys.exit(f'set-up stopped: {text}')


def clock(started):
    return '{}:{:02d}'.format(*divmod(int(time.monotonic() - started), 60))


def progress():
    """How many files are compiled, or the last line of the log in short."""
    text = LOG.read_text(errors='replace')
    compiled = re.findall(r'\[(\d+)/(\d+)\]', text)
    return '{} of {} files'.format(*compiled[-1]) if compiled else text.strip().rpartition('\n')[2].strip()[:90]


def run(title, *command, **environment):
    """Run ``command`` with its output in the log and show every half minute how far it is; stop if it fails."""
    say(f'- {title}')
    started = time.monotonic()
    # Torch looks for ninja on the PATH.
    path = os.pathsep.join([str(PYTHON.parent), os.environ['PATH']])

    with LOG.open('w') as log:
        child = subprocess.Popen(
            [str(word) for word in command],
            cwd=str(ROOT),
            env={**os.environ, 'PATH': path, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    try:
        while child.poll() is None:
            try:
                child.wait(HEARTBEAT)
            except subprocess.TimeoutExpired:
                say(f'    {clock(started)}  {progress()}')
    except BaseException:
        # The group has pip, ninja and the compilers in it.
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        raise

    if child.returncode:
        end = '\n'.join(LOG.read_text(errors='replace').splitlines()[-30:])
        stop(f'{title} failed. All of its output is in {LOG}, this is the end:\n{end}')


def pip(title, words, *more, **environment):
    """Run pip on the ``words`` of a string, and ``more`` that may hold spaces."""
    run(title, PYTHON, '-m', 'pip', *words.split(), *more, '--no-input', '--constraint', CONSTRAINTS, **environment)


def query(code):
    """What the python of ``.venv`` prints for ``code``; None if that fails."""
    command = [str(PYTHON), '-c', code]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def make_venv(borrow):
    kept = PYTHON.exists() and query('import pip') is not None
    if borrow:
        kept = kept and BORROWED.exists() and BORROWED.read_text().strip() == sys.executable
    if kept:
        return

    say(f'- .venv of Python {sys.version.split()[0]}, {sys.executable}')
    if subprocess.run([sys.executable, '-m', 'venv', '--clear', str(VENV)]).returncode:
        stop('python -m venv failed; on Debian and Ubuntu it takes: apt install python3-venv')

    if borrow:
        folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
        own = Path(query('import sysconfig; print(sysconfig.get_path("purelib"))'))
        # `addsitedir` reads the .pth files of a folder too. Its packages come after those of .venv.
        lines = [f'import site; site.addsitedir({folder!r})\n' for folder in folders]
        (own / 'borrowed.pth').write_text(''.join(lines))
        BORROWED.write_text(f'{sys.executable}\n')


def write_constraints():
    text = (ROOT / 'constraints.txt').read_text()
    for package in ('torch', 'triton') if BORROWED.exists() else ():
        version = query(f'import {package}; print({package}.__version__)')
        if version:
            say(f'- {package} {version} is that of {BORROWED.read_text().strip()}')
            text = re.sub(rf'(?m)^{package}==.*$', f'{package}=={version}', text)
    CONSTRAINTS.write_text(text)


def mmcv_fits():
    """Whether the mmcv wanted is installed and its operators load with the torch that is installed."""
    wanted = re.search(r'(?m)^onedl-mmcv==(\S+)', CONSTRAINTS.read_text()).group(1)
    return query('import mmcv.ops; print(mmcv.__version__)') == wanted


def find_mmcv():
    """A compiled wheel of mmcv where pip looks for packages, or None."""
    MMCV.mkdir(exist_ok=True)
    words = 'download --quiet --no-input --no-deps --only-binary onedl-mmcv onedl-mmcv --constraint'
    command = [PYTHON, '-m', 'pip', *words.split(), CONSTRAINTS, '--dest', MMCV]
    # Pip fails where there is no such wheel.
    subprocess.run([str(word) for word in command], stderr=subprocess.DEVNULL)
    return next(MMCV.glob('*.whl'), None)


def check_compiler():
    # Torch chooses its compiler like this.
    compiler = os.environ.get('CXX', 'c++')
    command = [*compiler.split(), '-std=c++17', '-fsyntax-only', '-x', 'c++', '-', '-I', sysconfig.get_path('include')]
    source = '#include <Python.h>\n#include <optional>\n'
    try:
        subprocess.check_output(command, input=source, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        stop(CANNOT_COMPILE.format(compiler=compiler, said=error.strerror))
    except subprocess.CalledProcessError as error:
        stop(CANNOT_COMPILE.format(compiler=compiler, said=error.output.strip()))


def compile_mmcv():
    """Compile mmcv against the torch that is installed, in a folder that outlives an interruption; the wheel."""
    check_compiler()
    source = MMCV / 'source'
    if not source.exists():
        words = 'download --no-deps --no-build-isolation --no-binary onedl-mmcv onedl-mmcv --dest'
        pip('source of onedl-mmcv', words, MMCV)
        shutil.rmtree(MMCV / 'unpacked', ignore_errors=True)
        shutil.unpack_archive(str(next(MMCV.glob('*.tar.gz'))), str(MMCV / 'unpacked'))
        # The rename makes the folder appear whole or not at all.
        next((MMCV / 'unpacked').iterdir()).rename(source)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    # A compiler takes up to 2 GiB.
    jobs = int(os.environ.get('MAX_JOBS', max(1, min(cores, memory // 2**31))))
    environment = {'MAX_JOBS': str(jobs)}
    needs_nvcc = 'torch.version.cuda is not None and torch.cuda.is_available() and CUDA_HOME is None'

    if query(f'import torch; from torch.utils.cpp_extension import CUDA_HOME; print({needs_nvcc})') == 'True':
        say(NO_NVCC)
        # Where mmcv sees a GPU it takes for granted that there is nvcc.
        environment['CUDA_VISIBLE_DEVICES'] = ''

    title = f'compiling onedl-mmcv, {jobs} files at a time: about {max(1, 32 // jobs)} minutes'
    words = 'wheel --verbose --no-deps --no-build-isolation --no-cache-dir'
    pip(title, words, source, '--wheel-dir', MMCV / 'compiled', **environment)

    return next((MMCV / 'compiled').glob('*.whl'))


def install_mmcv():
    for origin in (find_mmcv, compile_mmcv):
        wheel = origin()
        if wheel:
            pip(wheel.name, 'install --no-deps --force-reinstall', wheel)
            if mmcv_fits():
                return
            say('- the operators in this wheel do not load with this torch')
            wheel.unlink()
    stop(f'`{PYTHON} -c "import mmcv.ops"` fails although mmcv has just been compiled')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--borrow', action='store_true', help="let .venv see this python's packages, its torch first")
    args = parser.parse_args()

    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        found = f'{sys.executable} is {sys.version.split()[0]}'
        stop(f'Python 3.10 to 3.13 is needed, {found}; name another with make PYTHON=/path/to/python')

    started = time.monotonic()
    make_venv(args.borrow)
    write_constraints()

    if not (mmcv_fits() or find_mmcv()):
        # A missing compiler is better said before the downloads than after them.
        check_compiler()

    pip('pip, setuptools, wheel, packaging, ninja', 'install pip setuptools wheel packaging ninja')
    pip('torch', 'install torch')
    pip('onedl-mmengine, opencv', 'install onedl-mmengine opencv-python opencv-python-headless')

    # The hosts want both packages of OpenCV. The one with windows was written last, and fails where there is no libGL.
    if query('import cv2') is None:
        pip('opencv without windows', 'install --no-deps --force-reinstall opencv-python-headless')
    if not mmcv_fits():
        install_mmcv()

    shutil.rmtree(MMCV, ignore_errors=True)
    title = 'onedl-mmdetection, onedl-mmsegmentation, pycocotools, lkdense'
    extras = 'mm,safetensors,onnx,tensorboard,plot,serve,study,completion,docs,test,lint,typing'
    pip(title, f'install --no-build-isolation --editable .[{extras}]')
    say(f'- .venv is ready after {clock(started)} minutes')


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: stop('by a signal; the same command goes on from here'))
    try:
        main()
    except KeyboardInterrupt:
        stop('interrupted; the same command goes on from here')
