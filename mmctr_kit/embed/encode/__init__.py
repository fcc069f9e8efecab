"""Encoding of items: titles and pictures through published encoders, into one file of vectors."""
