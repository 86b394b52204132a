"""Study how the size of kernels matters: `lkdense study plan|run|report`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('study')
