"""Writers of data folders in the challenge's layout."""
