"""Divides edge pixels into regions by position (K-means) or by strength (quantiles)."""

import jax
import jax.numpy as jnp

from depthjax.ops import quantiles

_ROUNDS = 10


def strongest(x, fraction):
  """Mask {0, 1} of the largest positive values, a fraction of each map: [b h w 1] -> [b h w 1]."""
  least = quantiles.quantile(x, 1 - fraction)
  return ((x >= least) & (x > 0)).astype(jnp.float32)


def by_position(mask, count, keys):
  """Divides the pixels of masks into `count` regions by K-means of their positions.

  Centres are initialised by k-means++ (Arthur and Vassilvitskii, SODA 2007): each is a pixel drawn
  with a probability proportional to its squared distance to the previous centres.

  Args:
    mask: {0, 1} [b h w 1].
    count: number of regions, static; some are empty if the mask has fewer pixels.
    keys: typed keys of the examples [b]; regions do not depend on the rest of the batch.

  Returns:
    {0, 1} [b h w count] whose sum over the last axis is the mask.
  """
  b, h, w, _ = mask.shape
  rows, columns = jnp.mgrid[:h, :w]
  positions = jnp.stack([rows.ravel(), columns.ravel()]) / max(h, w)
  labels = jax.vmap(lambda m, k: _kmeans(positions, m, count, k))(mask.reshape(b, -1), keys)
  regions = jax.nn.one_hot(labels, count) * mask.reshape(b, -1, 1)
  return regions.reshape(b, h, w, count)


def by_strength(mask, strength, count):
  """As `by_position`, but divides at quantiles of a strength [b h w 1].

  The regions have equal sizes; the weakest is first.
  """
  levels = jnp.linspace(0, 1, count + 1)[1:-1]
  bounds = quantiles.quantile(strength, levels, mask > 0)
  labels = (strength >= bounds).sum(0)[..., 0]
  return jax.nn.one_hot(labels, count) * mask


def _kmeans(positions, mask, count, key):
  """Index of the nearest centre for each position [2 n]; centres are means within the mask [n].

  Centres are [2 k], distances and memberships [k n]. The long axis n is last, since TPUs pad the
  last axis to a multiple of 128.
  """

  def distances(centres):
    return ((positions[:, None] - centres[..., None]) ** 2).sum(0)

  def pick(key, weights):
    # Inverse of the cumulative sum; jax.random.choice would sort.
    total = jnp.cumsum(weights)
    at = jnp.searchsorted(total, jax.random.uniform(key) * total[-1], side='right')
    return jax.lax.dynamic_slice_in_dim(positions, jnp.minimum(at, len(mask) - 1), 1, axis=1)

  first, *keys = jax.random.split(key, count)
  centres = pick(first, mask)
  for key in keys:
    weights = mask * distances(centres).min(0)
    centres = jnp.concatenate([centres, pick(key, weights)], axis=1)

  def body(_, centres):
    members = jax.nn.one_hot(distances(centres).argmin(0), count, axis=0) * mask
    mass = members.sum(1)
    return jnp.where(mass > 0, positions @ members.T / jnp.maximum(mass, 1), centres)

  centres = jax.lax.fori_loop(0, _ROUNDS, body, centres)
  return distances(centres).argmin(0)
