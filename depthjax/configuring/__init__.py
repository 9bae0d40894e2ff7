"""Configs: the fields of every run, arguments of config files, and checks.

A config file returns `defaults()` with the values of its experiment, and fills the tables `model`,
`loss` and `render` with the fields of its network, losses and renderer. `load` finds a config by
the path of its file, by its name in the package, or by the folder of a run, and locks it. An
unknown field, in the file or in an override, is an error that suggests a known one.
"""

from depthjax.configuring.arguments import apply, parse_arg
from depthjax.configuring.checks import check
from depthjax.configuring.errors import ConfigError
from depthjax.configuring.fields import defaults, labelled, lens, masked, predictions, scenes
from depthjax.configuring.files import PACKAGED, RECORD, recorded
from depthjax.configuring.loading import load, parse_fields, with_fields

__all__ = [
  'PACKAGED',
  'RECORD',
  'ConfigError',
  'apply',
  'check',
  'defaults',
  'labelled',
  'lens',
  'load',
  'masked',
  'parse_arg',
  'parse_fields',
  'predictions',
  'recorded',
  'scenes',
  'with_fields',
]
