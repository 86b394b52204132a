"""Data sets: check one, preview what a loader gives to a model, write synthetic ones in the layouts of real ones."""
