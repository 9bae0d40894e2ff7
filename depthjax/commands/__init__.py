"""The commands: their options, a module each; runner.py runs them, and work/ is what they do."""
