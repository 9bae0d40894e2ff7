"""Metrics: pure functions, one value per example."""
