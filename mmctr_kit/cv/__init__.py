"""Cross-validation: planning a run, fitting its fold models, measuring what they cost."""
