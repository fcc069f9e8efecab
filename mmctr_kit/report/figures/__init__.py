"""Figures of a report: plain functions from arrays to a matplotlib Figure, and its SVG."""
