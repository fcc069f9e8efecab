"""Models: plain ``nn.Module``, flat keyword-only arguments; they see tensors, never a recipe."""
