"""Draw what the data loader of a config feeds: `lkdense browse`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('browse')
