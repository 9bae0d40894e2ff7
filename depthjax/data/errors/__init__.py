"""Errors of a simulated depth predictor, in its silhouettes and in its maps."""
