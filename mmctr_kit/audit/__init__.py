"""Checks of a data folder: that it is complete and sane, and that nothing leaks."""
