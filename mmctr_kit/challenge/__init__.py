"""The challenge: its contract, its data, checks and generators."""
