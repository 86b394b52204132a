"""Data sets: looked at, checked, and made up in the layouts of the real ones."""
