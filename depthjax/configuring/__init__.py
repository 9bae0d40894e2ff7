"""Configs: the fields of every run, arguments of config files, and checks.

A config file returns `defaults()` with the values of its experiment, and fills the tables `model`,
`loss` and `render` with the fields of its network, losses and renderer. The config is locked: an
unknown field in an override is an error that suggests a known one.
"""

from depthjax.configuring.arguments import apply, describe_error, load, parse_arg
from depthjax.configuring.checks import ConfigError, check
from depthjax.configuring.fields import defaults, lens, predictions, scenes

__all__ = [
  'ConfigError',
  'apply',
  'check',
  'defaults',
  'describe_error',
  'lens',
  'load',
  'parse_arg',
  'predictions',
  'scenes',
]
