"""Values for the leaves of a pytree, by ordered (regex, value) pairs; the first match wins.

Configs use them for shardings, weight decay, learning rates (0 freezes) and initialisation from
other weights. The regex is searched for in the path of a leaf: its keys joined by '/', such as
'params/kernel_net/deep1/expand/conv/kernel'.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax

from depthjax.configuring import ConfigError


def path_name(path: Sequence[Any]) -> str:
  """The keys of a leaf's key path, joined by '/'."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def by_path(tree: Any) -> dict[str, Any]:
  """The leaves of a tree by their `path_name`."""
  return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def match(rules: Sequence[tuple[str, Any]], tree: Any) -> Any:
  """The tree with each leaf replaced by the value of the first rule that matches its path.

  Raises ConfigError if no rule matches a path.
  """
  compiled = [(re.compile(pattern), value) for pattern, value in rules]

  def value_of(path, _):
    name = path_name(path)
    for pattern, value in compiled:
      if pattern.search(name):
        return value
    patterns = ', '.join(repr(pattern) for pattern, _ in rules)
    raise ConfigError(f"no rule matches {name!r} (rules: {patterns}); add ('.*', value) at the end")

  return jax.tree_util.tree_map_with_path(value_of, tree)
