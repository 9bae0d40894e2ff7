"""Refinement of depth maps by masks, at any size."""
