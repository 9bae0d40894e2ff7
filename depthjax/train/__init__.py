"""The one loop that trains everything: step, optimiser, loop, checkpoint, log, evaluation."""
