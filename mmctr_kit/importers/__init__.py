"""Importers: runs from prediction files and from published checkpoints, made elsewhere."""
