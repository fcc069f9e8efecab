"""Finished runs and studies, copied to the tools in which people compare experiments."""
