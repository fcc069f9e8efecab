"""The checks of a submission file."""
