"""Write a small synthetic data set in the layout of a real one: `lkdense synthesize`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('synthesize')
