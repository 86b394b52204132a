"""Measure the effective receptive field of one or more backbones: `lkdense erf`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('erf')
