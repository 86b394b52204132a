"""Try `lkdense swap` on every config of mmsegmentation and mmdetection: `lkdense swap-report`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('swap-report')
