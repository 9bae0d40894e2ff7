"""Training: step, optimiser, loop, checkpoints, log and evaluation."""
