"""The submission file: writing it and checking it as the organisers would."""
