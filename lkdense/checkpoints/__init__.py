"""Checkpoints: files, names of entries, and how MMEngine reads them."""
