"""Count whether a model follows an object's shape or its texture: `lkdense shape-bias`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('shape-bias')
