"""The networks of DeepLens (SIGGRAPH Asia 2018) and of its baselines."""
