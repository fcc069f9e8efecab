"""Item features: the item table, item-item similarities, and examples from histories."""
