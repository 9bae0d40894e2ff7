"""Pure metrics: one number an example, no state, no files."""
