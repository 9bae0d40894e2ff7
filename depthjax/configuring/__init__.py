"""Configurations: the fields of every run, arguments of a config file, and their checks.

A config file returns `defaults()` with its experiment's own values, and the tables `model`, `loss`
and `render`, whose fields are those of the experiment's own model, losses and rendering. The
result is locked: a misspelt override is an error with a suggestion.
"""

from depthjax.configuring.arguments import apply, apply_size, load, no_config, parse_arg
from depthjax.configuring.checks import check
from depthjax.configuring.errors import ConfigError
from depthjax.configuring.fields import defaults, lens, predictions, scenes

__all__ = [
  'ConfigError',
  'apply',
  'apply_size',
  'check',
  'defaults',
  'lens',
  'load',
  'no_config',
  'parse_arg',
  'predictions',
  'scenes',
]
