"""Quantiles of maps without sorting them, which is slow on processors and slow to compile for TPUs.

An order statistic is found bit by bit: 32 times the values below a candidate are counted, half the
candidates are left each time, and what remains is the value itself, to the last bit.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

_AXES = (-3, -2, -1)
_LARGEST = np.uint32(0xFFFFFFFF)


def quantile(x, at, kept=None):
  """Quantiles of each map, with linear interpolation between values as numpy.quantile has them.

  A constant as far as the derivative is concerned.

  Args:
    x: maps [b h w c].
    at: a quantile in [0, 1], or several.
    kept: bool [b h w c], the values that count; None is all.

  Returns:
    float32 [b 1 1 1], or [n b 1 1 1] of several; NaN where no value counts, or one
    that counts is NaN.
  """
  if np.ndim(at):
    # In turn: together they would compare arrays as many times as large.
    return jax.lax.map(lambda one: quantile(x, one, kept), jnp.asarray(at, jnp.float32))
  x = jax.lax.stop_gradient(x.astype(jnp.float32))
  keys, wrong = _ordered(x), jnp.isnan(x)
  if kept is None:
    count = jnp.full((*x.shape[:-3], 1, 1, 1), math.prod(x.shape[-3:]), jnp.int32)
  else:
    keys, wrong = jnp.where(kept, keys, _LARGEST), wrong & kept
    count = kept.sum(_AXES, dtype=jnp.int32, keepdims=True)
  # In float32: of millions of values it is exact to half a rank.
  place = jnp.asarray(at, jnp.float32) * (count - 1)
  rank = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, count - 1)
  low = _statistic(keys, rank)
  # The next one is the same value again, or the least above it.
  again = (keys <= low).sum(_AXES, dtype=jnp.int32, keepdims=True) > rank + 1
  above = jnp.where(keys > low, keys, _LARGEST).min(_AXES, keepdims=True)
  high = jnp.where(again | (rank + 1 >= count), low, above)
  low, high = _value(low), _value(high)
  part = jnp.clip(place - rank, 0, 1)
  # An infinite neighbour counts only where it has a part in it.
  found = jnp.where(part > 0, low * (1 - part) + high * part, low)
  return jnp.where((count > 0) & ~wrong.any(_AXES, keepdims=True), found, jnp.nan)


def _statistic(keys, rank):
  """The value of a rank (0 the least) among keys, uint32 [b h w c] -> [b 1 1 1]."""

  def body(number, found):
    candidate = found | (jnp.uint32(1) << (31 - number).astype(jnp.uint32))
    below = (keys < candidate).sum(_AXES, dtype=jnp.int32, keepdims=True)
    return jnp.where(below <= rank, candidate, found)

  return jax.lax.fori_loop(0, 32, body, jnp.zeros_like(rank, jnp.uint32))


def _ordered(x):
  """float32 -> uint32 in the same order: of negative numbers all bits turn, of others the sign."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  return jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))


def _value(keys):
  """The inverse of `_ordered`."""
  bits = jnp.where(keys >> 31 == 1, keys & jnp.uint32((1 << 31) - 1), ~keys)
  return jax.lax.bitcast_convert_type(bits, jnp.float32)
