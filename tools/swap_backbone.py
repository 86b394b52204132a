"""Write a config with another backbone: `lkdense swap`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('swap')
