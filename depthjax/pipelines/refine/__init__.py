"""Depth maps refined."""
