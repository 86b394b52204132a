"""Every command of the README, run from what a clean clone holds; one that is not known here fails the test."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import lkdense
from lkdense.commands import COMMANDS
from lkdense.config import register_all_of, without_onedl_notice

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / 'README.md').read_text()
PROGRAMS = ('lkdense', 'make', 'pip', 'python', 'source')

# A path of a page, a picture or a table below docs/, wherever one is written.
PAGE_PATH = re.compile(r'\bdocs/[\w./-]+\.(?:md|png|svg|csv|json|yml|py)\b')

# A full-size model on a real data set becomes SLaK-pico, on synthetic images of 64 x 64 that lie where real ones would.
SMALL = (
    "model.backbone.arch=pico 'model.data_preprocessor.size=(64,64)' "
    "'model.decode_head.in_channels=[83,166,332,665]' model.decode_head.channels=16 "
    'model.auxiliary_head.in_channels=332 model.auxiliary_head.channels=16 '
    "'test_dataloader.dataset.pipeline.1.scale=(128,64)' test_dataloader.num_workers=0 "
    'test_dataloader.persistent_workers=False'
)
TRAIN_SMALL = (
    f'{SMALL} train_cfg.max_iters=1 train_dataloader.batch_size=2 train_dataloader.num_workers=0 '
    "train_dataloader.persistent_workers=False 'train_dataloader.dataset.pipeline.2.scale=(128,64)' "
    "'train_dataloader.dataset.pipeline.3.crop_size=(64,64)' 'val_dataloader.dataset.pipeline.1.scale=(128,64)'"
)
DATA_SMALL = 'lkdense synthesize --layout ade20k --images 10 --size 64 --out data'
FIRST_RUN = 'work_dirs/upernet_slak_pico_shapes/iter_40.pth'
TWO_ITERATIONS = 'work_dirs/upernet_slak_pico_shapes/iter_2.pth'
FULL_SIZE = 'work_dirs/upernet_slak_b_ade20k/iter_160000.pth'

AS_IT_IS = None
# Command of the README: what is run in its place, the same, shorter or on small data, and why in the line above.
IN_BLOCKS = {
    # The whole set-up takes 20 minutes and a network; test_the_set_up runs what can be run.
    'make .venv': 'make -n .venv',
    'source .venv/bin/activate': 'true',
    # It goes into a folder of its own, so that the environment that runs the tests stays as it is.
    'pip install .': 'pip install . --no-deps --no-build-isolation --no-index --quiet --target installed',
    # A tenth of the images suffices.
    'lkdense synthesize --layout ade20k --images 250 --size 128 --classes 2 --out demo/data': (
        'lkdense synthesize --layout ade20k --images 25 --size 128 --classes 2 --out demo/data'
    ),
    # 2 iterations take the place of 40.
    'lkdense train examples/upernet_slak_pico_shapes --cfg-options train_cfg.max_iters=40': (
        'lkdense train examples/upernet_slak_pico_shapes --cfg-options train_cfg.max_iters=2 train_cfg.val_interval=2 '
        'default_hooks.checkpoint.interval=2'
    ),
    f'lkdense test examples/upernet_slak_pico_shapes {FIRST_RUN}': (
        f'lkdense test examples/upernet_slak_pico_shapes {TWO_ITERATIONS}'
    ),
    (
        f'lkdense predict examples/upernet_slak_pico_shapes {FIRST_RUN} '
        'demo/data/ade/ADEChallengeData2016/images/validation --out predicted'
    ): (
        f'lkdense predict examples/upernet_slak_pico_shapes {TWO_ITERATIONS} '
        'demo/data/ade/ADEChallengeData2016/images/validation --out predicted'
    ),
    # It takes ADE20K and GPUs.
    'lkdense train upernet_slak_b_ade20k': (
        f'{DATA_SMALL} && lkdense train upernet_slak_b_ade20k --cfg-options {TRAIN_SMALL} train_cfg.val_interval=1 '
        'default_hooks.checkpoint.interval=1'
    ),
    f'lkdense test upernet_slak_b_ade20k {FULL_SIZE}': (
        f'lkdense test upernet_slak_b_ade20k work_dirs/upernet_slak_b_ade20k/iter_1.pth --cfg-options {SMALL}'
    ),
    # The config is the reader's and the checkpoint the authors'.
    'lkdense swap my_upernet_r50.py slak_t --checkpoint SLaK_tiny_checkpoint.pth -o my_upernet_slak_t.py': (
        'lkdense swap configs/upernet_resnet_50_ade20k.py slak_t -o my_upernet_slak_t.py'
    ),
}
IN_SENTENCES = {
    'lkdense --help': AS_IT_IS,
    'lkdense VERB --help': 'lkdense train --help',
    'lkdense completion bash': AS_IT_IS,
    'lkdense swap': 'lkdense swap --help',
    'lkdense study': 'lkdense study --help',
    # It would go on serving; tests/serve has a browser look at the page.
    'lkdense serve CONFIG CHECKPOINT': 'lkdense serve --help',
    # Everything is there already, so that pip says what it would do without a network.
    "pip install '.[mm]'": "pip install --dry-run --no-index --no-build-isolation '.[mm]'",
    # It takes the environment of PYTHON, and 20 minutes.
    'make .venv PYTHON=/path/to/python': f'make -n .venv PYTHON={sys.executable}',
    # They take minutes each. The tests of train and test, and tests/study, run what demo and study do.
    'make demo': 'make -n demo',
    'make bench': 'make -n bench',
    'make study': 'make -n study',
    'make check': 'make -n check',
    'make test': 'make -n test',
    'make docs': 'make -n docs',
}


def commands_in_blocks(text: str) -> list[str]:
    """The lines of all fenced blocks without a language, continued ones joined."""
    blocks = re.findall(r'^```(.*?)\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for language, block in blocks if not language for line in block.replace('\\\n', ' ').splitlines()]
    return [' '.join(line.split()) for line in lines if line.strip()]


def commands_in_sentences(text: str) -> set[str]:
    """What stands in backquotes and begins with a program."""
    outside = re.sub(r'^```.*?^```$', '', text, flags=re.MULTILINE | re.DOTALL)
    spans = (' '.join(span.split()) for span in re.findall(r'`([^`]+)`', outside))
    return {span for span in spans if span.split()[0] in PROGRAMS and ' ' in span}


@pytest.fixture(scope='module')
def clone(tmp_path_factory) -> Path:
    """A copy of what git holds, or would after `git add`."""
    listed = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip('this is no checkout of git')

    folder = tmp_path_factory.mktemp('clone')
    for name in filter(None, done.stdout.split('\0')):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    return folder


def run(command: str, clone: Path) -> None:
    """Run a line of the shell in the clone, whose package comes before an installed one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    environment = {**os.environ, 'PATH': path, 'PYTHONPATH': str(clone), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        ['bash', '-ec', command], cwd=clone, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'


def test_every_command_of_the_readme_is_known_here():
    assert commands_in_blocks(README) == list(IN_BLOCKS)
    assert commands_in_sentences(README) == set(IN_SENTENCES)


@pytest.mark.parametrize(
    ('text', 'blocks', 'sentences'),
    [
        ('Do\n```\nmake it\nlkdense a \\\n   b\n```\n', ['make it', 'lkdense a b'], set()),
        ('```python\nmodel = 1\n```\nand\n```\nmake it\n```\n', ['make it'], set()),
        ('Run `make it` or\n`lkdense a\nb`, `lkdense` or `model`.', [], {'make it', 'lkdense a b'}),
    ],
)
def test_commands_are_found(text, blocks, sentences):
    assert commands_in_blocks(text) == blocks
    assert commands_in_sentences(text) == sentences


def test_the_reference_has_every_public_name():
    text = (ROOT / 'docs/reference/api.md').read_text()
    things = [name for name in lkdense.__all__ if callable(getattr(lkdense, name))]
    assert [name for name in things if f':: lkdense.{name}\n' not in text] == []


@pytest.mark.parametrize('name', ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'lkdense', 'dev', 'model-index.yml'])
def test_every_page_that_is_named_outside_the_docs_exists(name):
    path = ROOT / name
    files = [path] if path.is_file() else sorted(path.rglob('*.py'))

    missing = []
    for file in files:
        pages = set(PAGE_PATH.findall(file.read_text()))
        missing += [f'{file.relative_to(ROOT)}: {page}' for page in pages if not (ROOT / page).is_file()]

    assert missing == []


def test_every_page_is_in_a_drawer_that_the_index_shows():
    index = (ROOT / 'docs/index.md').read_text()
    pages = [path.relative_to(ROOT / 'docs').with_suffix('').as_posix() for path in (ROOT / 'docs').rglob('*.md')]

    shown = set(re.findall(r'<(\S+)>$', index, flags=re.MULTILINE))
    assert {page for page in pages if page != 'index' and not page.startswith('development/')} == shown
    assert 'development/*' in index


@pytest.mark.parametrize('page', sorted((ROOT / 'docs').rglob('*.md')), ids=lambda page: page.name)
def test_the_commands_of_a_page_are_ones_that_exist(page):
    """Not run: most take data and hours. Verb, options and scripts must be there."""
    for command in commands_in_blocks(page.read_text()):
        program, name, *arguments = shlex.split(command)
        if program == 'lkdense':
            parser = argparse.ArgumentParser()
            import_module(f'lkdense.commands.{COMMANDS[name][0]}').add_arguments(parser)
            parser.parse_args(arguments)
        elif program.endswith('python') and name not in ('-c', '-m'):
            assert (ROOT / name).is_file(), command


def test_the_commands_of_the_blocks_run_one_after_another(clone):
    run(f'test "$(python -c "import lkdense; print(lkdense.__path__[0])")" = {clone}/lkdense', clone)
    for command, instead in IN_BLOCKS.items():
        run(instead or command, clone)
    assert (clone / 'installed/lkdense/configs/upernet_slak_b_ade20k.py').is_file()
    assert len(list((clone / 'predicted/pictures').glob('*.png'))) == 5


def test_the_commands_of_the_sentences_run(clone):
    for command, instead in IN_SENTENCES.items():
        run(instead or command, clone)


@pytest.mark.slow
def test_the_first_run_as_it_is(clone):
    for folder in ('demo', 'predicted', 'work_dirs'):
        shutil.rmtree(clone / folder, ignore_errors=True)

    for command in IN_BLOCKS:
        if 'demo/data' in command or 'upernet_slak_pico_shapes' in command:
            run(command, clone)


@pytest.mark.slow
def test_the_set_up(clone):
    """With the packages of the environment that tests, so that nothing is downloaded or compiled."""
    run(f'make .venv PYTHON={sys.executable} && source .venv/bin/activate && lkdense --version', clone)


def test_the_config_of_the_readme_swaps_the_backbone_of_a_stock_one(tmp_path):
    (block,) = re.findall(r'^```python\n(.*?)^```$', README, flags=re.MULTILINE | re.DOTALL)
    with without_onedl_notice():
        register_all_of('mmseg')
        import mmseg

    stock = Path(mmseg.__path__[0], '.mim/configs/upernet/upernet_r50_4xb4-80k_ade20k-512x512.py')
    (tmp_path / 'swapped.py').write_text(f"_base_ = '{stock}'\n{block}")
    cfg = Config.fromfile(tmp_path / 'swapped.py')
    # These are weights of the ResNet that was there.
    cfg.model.pretrained = None

    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)

    assert isinstance(model.backbone, lkdense.SLaK)
    assert tuple(model.decode_head.in_channels) == model.backbone.out_channels
    assert model.auxiliary_head.in_channels == model.backbone.out_channels[2]
