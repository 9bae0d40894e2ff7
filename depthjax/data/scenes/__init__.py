"""Drawing layered scenes: what is on the layers, where they lie, and what a predictor sees."""
