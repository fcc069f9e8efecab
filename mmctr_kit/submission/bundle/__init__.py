"""Bundles: a run with all that is needed to predict from its weights, or train it, again."""
