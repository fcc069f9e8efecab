"""Run folders: what a run holds, writing it, scoring and comparing runs."""
