"""Runs made elsewhere: prediction files and published checkpoints."""
