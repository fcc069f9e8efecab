"""Data sets in the challenge's layout from anybody's logs, items and pictures."""
