"""Data sets: check one, preview what a loader gives to a model, and write synthetic ones in the layouts of real ones."""
