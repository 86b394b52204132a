"""``python -m lkdense VERB ...``, the same as ``lkdense VERB ...``."""

from .commands import main

main()
