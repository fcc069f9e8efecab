"""The challenge's data: its contract, reading, caching and folds."""
