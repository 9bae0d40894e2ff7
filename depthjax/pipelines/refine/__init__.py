"""Depth refinement on maps of any size."""
