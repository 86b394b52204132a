"""What the model of a config costs: `lkdense complexity`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('complexity')
