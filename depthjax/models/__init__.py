"""Flax linen networks; one file a network, the blocks they share in layers.py."""
