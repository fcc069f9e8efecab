"""What is known of items: modalities and their fusion into one item table."""
