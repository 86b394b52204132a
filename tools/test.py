"""Evaluate a checkpoint: `lkdense test`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('test')
