"""Write the authors' checkpoint under lkdense's names, and say what it is: `lkdense convert`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('convert')
