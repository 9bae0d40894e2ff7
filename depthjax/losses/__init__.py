"""Loss functions: pure, one number an example."""
