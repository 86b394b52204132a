"""Measure effective receptive fields and draw them side by side: `lkdense erf`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('erf')
