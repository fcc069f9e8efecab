"""Ablations: the variants of a recipe and the table that compares them."""
