"""Primitives of a traced function."""

import collections

import jax
from jax.extend import core


def primitives(function, *arguments) -> collections.Counter:
  """Counts of the primitives in the jaxpr of a function, including nested jaxprs."""
  counts = collections.Counter()

  def visit(jaxpr):
    for equation in jaxpr.eqns:
      counts[equation.primitive.name] += 1
      for value in jax.tree.leaves(equation.params, is_leaf=lambda x: isinstance(x, _JAXPRS)):
        if isinstance(value, _JAXPRS):
          visit(getattr(value, 'jaxpr', value))

  visit(jax.make_jaxpr(function)(*arguments).jaxpr)
  return counts


_JAXPRS = (core.Jaxpr, core.ClosedJaxpr)
