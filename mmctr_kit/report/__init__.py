"""The report of a run, blend, ablation or study: one HTML page for people."""
