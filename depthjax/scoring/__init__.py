"""Scores of predictions against prepared datasets and ground truth."""
