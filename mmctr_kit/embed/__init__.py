"""The room of item embeddings: what an item is worth, from its text, its image and its users."""
