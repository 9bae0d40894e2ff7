"""Converts published PyTorch checkpoints to Flax variables."""
