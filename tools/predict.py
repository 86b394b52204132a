"""Segment or detect in images or a video: `lkdense predict`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('predict')
