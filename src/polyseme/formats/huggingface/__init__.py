"""transformers' names for our tensors and configuration keys."""
