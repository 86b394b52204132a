"""Serve a page that shows what models say of an image: `lkdense serve`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('serve')
