"""How sparse a checkpoint is: `lkdense sparsity`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('sparsity')
