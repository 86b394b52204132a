"""Read the whole data of a config and report what is wrong with it: `lkdense check-data`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('check-data')
