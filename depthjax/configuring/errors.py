"""What is wrong with a config."""


class ConfigError(Exception):
  """A field holds a value that no run can have: names field, value and what would be right.

  No ValueError: absl would bury one that a config file raises in a page of its own.
  """
