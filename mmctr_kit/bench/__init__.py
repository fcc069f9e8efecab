"""How fast recipes train and predict on this machine, and at what share of its roofline."""
