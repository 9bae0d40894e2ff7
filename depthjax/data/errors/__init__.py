"""What a depth predictor gets wrong, simulated: its silhouettes, and its maps."""
