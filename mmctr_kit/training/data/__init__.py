"""Training rows on a device or on the host, and their order."""
