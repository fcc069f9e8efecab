"""Training on a device: batches of packed histories and one fit loop."""
