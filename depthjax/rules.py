"""Which parameters? Ordered (regex, value) pairs over the paths of a pytree; the first match wins.

Layouts, frozen parameters, weight decay, learning-rate factors and what to initialise from another
run are all said in this one way. A path is the leaf's keys joined by '/', such as
'params/kernel_net/deep1/expand/conv/kernel'.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax

from depthjax.configuring import ConfigError


def path_name(path: Sequence[Any]) -> str:
  """The keys of a leaf's path joined by '/'."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def match(rules: Sequence[tuple[str, Any]], tree: Any) -> Any:
  """The tree with each leaf replaced by the value of the first rule whose regex its path holds.

  Raises:
    ConfigError: a path that no rule matches, or a pattern that is no regular expression.
  """
  compiled = [(_compile(pattern), value) for pattern, value in rules]

  def value_of(path, _):
    name = path_name(path)
    for pattern, value in compiled:
      if pattern.search(name):
        return value
    patterns = ', '.join(repr(pattern) for pattern, _ in rules)
    raise ConfigError(f"no rule matches {name!r} (rules: {patterns}); end with ('.*', value)")

  return jax.tree_util.tree_map_with_path(value_of, tree)


def _compile(pattern: str) -> re.Pattern:
  try:
    return re.compile(pattern)
  except re.error as error:
    raise ConfigError(f'the rule {pattern!r} is no regular expression: {error}') from error
