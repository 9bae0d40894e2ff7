"""Regions of edge pixels: masks of static shape, by place (K-means) or by strength (quantiles)."""

import jax
import jax.numpy as jnp

from depthjax.ops import quantiles

_ROUNDS = 10


def strongest(x, share):
  """1 where a value is among the largest `share` of its map, else 0: [b h w 1] -> [b h w 1]."""
  least = quantiles.quantile(x, 1 - share)
  return ((x >= least) & (x > 0)).astype(jnp.float32)


def by_position(mask, count, keys):
  """Divides the pixels of masks into `count` regions by K-means of their places.

  The centres start as in k-means++ (Arthur and Vassilvitskii, SODA 2007), the next each at a pixel
  drawn by its squared distance from those there are.

  Args:
    mask: {0, 1} [b h w 1].
    count: number of regions, static; some are empty where the mask has fewer pixels.
    keys: typed keys of the examples [b]; regions depend on nothing else in the batch.

  Returns:
    {0, 1} [b h w count], whose sum over the last axis is the mask.
  """
  b, h, w, _ = mask.shape
  rows, columns = jnp.mgrid[:h, :w]
  places = jnp.stack([rows.ravel(), columns.ravel()]) / max(h, w)
  labels = jax.vmap(lambda m, k: _kmeans(places, m, count, k))(mask.reshape(b, -1), keys)
  regions = jax.nn.one_hot(labels, count) * mask.reshape(b, -1, 1)
  return regions.reshape(b, h, w, count)


def by_strength(mask, strength, count):
  """Divides the pixels of masks into `count` regions of equal size by their strength.

  Args:
    mask: {0, 1} [b h w 1].
    strength: [b h w 1].

  Returns:
    {0, 1} [b h w count], the weakest first.
  """
  levels = jnp.linspace(0, 1, count + 1)[1:-1]
  bounds = quantiles.quantile(strength, levels, mask > 0)
  labels = (strength >= bounds).sum(0)[..., 0]
  return jax.nn.one_hot(labels, count) * mask


def _kmeans(places, mask, count, key):
  """Number of the nearest centre of each place [2 n]; centres are means of those in the mask [n].

  Centres are [2 k], distances to them and members of their regions [k n].
  The many places come last in all arrays: TPUs fill the last axis up to 128.
  """

  def distances(centres):
    return ((places[:, None] - centres[..., None]) ** 2).sum(0)

  def pick(key, weights):
    # By the inverse of the cumulative sum: jax.random.choice would sort.
    total = jnp.cumsum(weights)
    at = jnp.searchsorted(total, jax.random.uniform(key) * total[-1], side='right')
    return jax.lax.dynamic_slice_in_dim(places, jnp.minimum(at, len(mask) - 1), 1, axis=1)

  first, *keys = jax.random.split(key, count)
  centres = pick(first, mask)
  for key in keys:
    weights = mask * distances(centres).min(0)
    centres = jnp.concatenate([centres, pick(key, weights)], axis=1)

  def body(_, centres):
    members = jax.nn.one_hot(distances(centres).argmin(0), count, axis=0) * mask
    mass = members.sum(1)
    return jnp.where(mass > 0, places @ members.T / jnp.maximum(mass, 1), centres)

  centres = jax.lax.fori_loop(0, _ROUNDS, body, centres)
  return distances(centres).argmin(0)
