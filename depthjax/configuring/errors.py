"""The error of an invalid config."""


class ConfigError(Exception):
  """An invalid config; the message names the field, its value and what would be right.

  Not a ValueError, which functions that refuse values of fields raise.
  """
