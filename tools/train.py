"""Train the segmentor or detector of a config: `lkdense train`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('train')
