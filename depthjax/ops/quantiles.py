"""Quantiles of maps without sorting, which is slow on CPUs and slow to compile for TPUs.

An order statistic is found by bisection over the 32 bits of a float: each step counts the values
below a candidate, so the result is exact.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

_AXES = (-3, -2, -1)
_LARGEST = np.uint32(0xFFFFFFFF)


def quantile(x, at, kept=None):
  """Quantiles of each map, linearly interpolated as in numpy.quantile, without derivative.

  Args:
    x: maps [b h w c].
    at: a quantile in [0, 1], or n of them.
    kept: mask of the values to use, bool [b h w c]; default all.

  Returns:
    float32 [b 1 1 1], or [n b 1 1 1] for n quantiles. NaN where the mask is empty or contains NaN.
  """
  if np.ndim(at):
    # One after another, since comparisons for all at once would need n times the memory.
    return jax.lax.map(lambda one: quantile(x, one, kept), jnp.asarray(at, jnp.float32))
  x = jax.lax.stop_gradient(x.astype(jnp.float32))
  keys, wrong = _ordered(x), jnp.isnan(x)
  if kept is None:
    count = jnp.full((*x.shape[:-3], 1, 1, 1), math.prod(x.shape[-3:]), jnp.int32)
  else:
    keys, wrong = jnp.where(kept, keys, _LARGEST), wrong & kept
    count = kept.sum(_AXES, dtype=jnp.int32, keepdims=True)
  # In float32, which for millions of values is exact to half a rank.
  position = jnp.asarray(at, jnp.float32) * (count - 1)
  rank = jnp.clip(jnp.floor(position).astype(jnp.int32), 0, count - 1)
  low = _statistic(keys, rank)
  # The next value is the same again, or the smallest one above it.
  again = (keys <= low).sum(_AXES, dtype=jnp.int32, keepdims=True) > rank + 1
  above = jnp.where(keys > low, keys, _LARGEST).min(_AXES, keepdims=True)
  high = jnp.where(again | (rank + 1 >= count), low, above)
  low, high = _value(low), _value(high)
  part = jnp.clip(position - rank, 0, 1)
  # Without the condition an infinite neighbour of weight 0 would give NaN.
  found = jnp.where(part > 0, low * (1 - part) + high * part, low)
  return jnp.where((count > 0) & ~wrong.any(_AXES, keepdims=True), found, jnp.nan)


def _statistic(keys, rank):
  """The key of a rank (0 is the smallest): uint32 [b h w c] -> [b 1 1 1]."""

  def body(number, found):
    candidate = found | (jnp.uint32(1) << (31 - number).astype(jnp.uint32))
    below = (keys < candidate).sum(_AXES, dtype=jnp.int32, keepdims=True)
    return jnp.where(below <= rank, candidate, found)

  return jax.lax.fori_loop(0, 32, body, jnp.zeros_like(rank, jnp.uint32))


def _ordered(x):
  """float32 -> uint32 of the same order: flips all bits of negative numbers, else the sign bit."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def _value(keys):
  """The inverse of `_ordered`."""
  bits = jnp.where(keys >> 31 == 1, keys & jnp.uint32((1 << 31) - 1), ~keys)
  return jax.lax.bitcast_convert_type(bits, jnp.float32)
