"""Blends of runs, scored without seeing the labels they predict."""
