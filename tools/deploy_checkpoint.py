"""Merge the backbone's parallel branches and batch norms in a checkpoint: `lkdense deploy`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('deploy')
