"""The commands: one module each for the options; runner.py runs them; work/ has the work."""
