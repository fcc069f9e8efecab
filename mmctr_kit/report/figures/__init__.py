"""Figures of a report: functions from arrays to a matplotlib Figure, and the Figure as SVG."""
