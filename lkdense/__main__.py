"""``python -m lkdense VERB ...``, the same as ``lkdense VERB ...``."""

from .commands import main

if __name__ == '__main__':
    main()
