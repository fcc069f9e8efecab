"""Scores and their standard errors; numpy and scipy only."""
