"""What the commands do: a module each, loaded by `commands/runner.py` when its command is run."""
