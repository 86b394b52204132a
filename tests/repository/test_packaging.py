"""`pip install lkdense` brings the package and torch, never an mm package; the set-up has an exact version of all."""

import configparser
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lkdense

ROOT = Path(__file__).resolve().parents[2]


def pip(*words: str, cwd: Path) -> str:
    command = [sys.executable, '-m', 'pip', *words, '--no-build-isolation', '--no-index']
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """A copy to build in, with all that could slip into the wheel: building leaves folders behind."""
    copy = tmp_path_factory.mktemp('tree')
    for folder in ('lkdense', 'tests', 'tools', 'configs', 'benchmarks'):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns('__pycache__'))
    for file in ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / file, copy)
    return copy


@pytest.fixture(scope='module')
def wheel(tree):
    pip('wheel', '--no-deps', '--wheel-dir', 'wheels', '.', cwd=tree)
    (path,) = (tree / 'wheels').glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope='module')
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    return message_from_string(wheel.read(name).decode())


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel):
    code = {name for name in wheel.namelist() if '.dist-info/' not in name}
    files = [path for suffix in ('py', 'yml', 'html', 'typed') for path in (ROOT / 'lkdense').rglob(f'*.{suffix}')]
    package = {path.relative_to(ROOT).as_posix() for path in files}
    configs = {
        f'lkdense/{path.relative_to(ROOT).as_posix()}'
        for pattern in ('*.py', 'studies/*.yml')
        for path in (ROOT / 'configs').rglob(pattern)
    }
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'lkdense/serve/static').iterdir()}
    assert code == package | configs | page
    assert any(name.endswith('/LICENSE') for name in wheel.namelist())


def test_an_installed_lkdense_gives_its_configs(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = (
        'import lkdense; print(lkdense.config_path("upernet_slak_b_ade20k")); '
        'print(lkdense.get_config("upernet_slak_b_ade20k").model.backbone.arch)'
    )
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / 'lkdense/configs/upernet_slak_b_ade20k.py'), 'base']


def test_metadata(metadata):
    assert metadata['Name'] == 'lkdense'
    assert metadata['Version'] == lkdense.__version__
    assert set(metadata['Requires-Python'].split(',')) == {'>=3.10', '<3.14'}


def test_torch_is_the_only_dependency_and_has_no_upper_bound(metadata):
    required = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    (torch,) = (requirement for requirement in required if 'extra' not in str(requirement.marker))
    assert torch.name == 'torch'
    assert {clause.operator for clause in torch.specifier} == {'>='}


def test_installing_beside_the_hosts_changes_no_other_distribution(tree):
    plan = json.loads(pip('install', '--dry-run', '--quiet', '--report', '-', '.', cwd=tree))
    assert [entry['metadata']['name'] for entry in plan['install']] == ['lkdense']


def pins() -> dict[str, list[str]]:
    """Distribution -> its exact versions in constraints.txt, several where Python 3.10 has its own."""
    versions = {}
    for line in (ROOT / 'constraints.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            pin = Requirement(line)
            (clause,) = pin.specifier
            assert clause.operator == '==', line
            versions.setdefault(canonicalize_name(pin.name), []).append(clause.version)
    return versions


def declared() -> list[Requirement]:
    """The requirements of setup.cfg, those of the extras too."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    texts = [config['options']['install_requires'], *config['options.extras_require'].values()]
    return [Requirement(line) for text in texts for line in text.splitlines() if line]


@pytest.mark.parametrize('requirement', declared(), ids=str)
def test_constraints_fit_the_ranges_of_setup_cfg(requirement):
    assert all(requirement.specifier.contains(version) for version in pins()[canonicalize_name(requirement.name)])


def test_constraints_pin_all_that_the_set_up_reaches():
    """Followed through this environment's metadata, except for what torch needs, which depends on the torch."""
    todo, reached = declared(), set()
    while todo:
        name = canonicalize_name(todo.pop().name)
        if name not in reached:
            reached.add(name)
            needs = [] if name == 'torch' else map(Requirement, distribution(name).requires or [])
            todo += [need for need in needs if not need.marker or need.marker.evaluate({'extra': ''})]
    assert 'mmcv' not in reached
    assert reached <= set(pins())


@pytest.fixture
def setup_venv(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location('setup_venv', ROOT / 'dev' / 'setup_venv.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, 'LOG', tmp_path / 'setup.log')
    return module


def test_a_missing_compiler_ends_the_set_up_and_says_what_to_install(setup_venv, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(SystemExit, match=r'apt install g\+\+ python3-dev(.|\n)*no-such-compiler: No such file'):
        setup_venv.check_compiler()


def test_a_failing_step_ends_the_set_up_with_the_end_of_its_output(setup_venv):
    with pytest.raises(SystemExit, match=r'a step failed(.|\n)*the reason'):
        setup_venv.run('a step', sys.executable, '-c', 'import sys; sys.exit("the reason")')


def test_progress_counts_compiled_files_and_else_shows_the_last_line(setup_venv):
    setup_venv.LOG.write_text('Collecting torch\n  Downloading torch (190 MB)\n')
    assert setup_venv.progress() == 'Downloading torch (190 MB)'
    setup_venv.LOG.write_text('  [1/78] c++ -MMD a.cpp\n  [12/78] c++ -MMD b.cpp\n a warning\n')
    assert setup_venv.progress() == '12 of 78 files'
