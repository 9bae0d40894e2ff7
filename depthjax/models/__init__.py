"""Flax Linen networks, one file each; layers.py has the layers that they share."""
