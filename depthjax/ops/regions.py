"""Regions of edge pixels: masks of static shape, by place (K-means) or by strength (quantiles)."""

import jax
import jax.numpy as jnp

_ROUNDS = 10


def strongest(x, share):
  """1 where a value is among the largest `share` of its map, else 0: [b h w 1] -> [b h w 1]."""
  least = jnp.quantile(x, 1 - share, axis=(1, 2, 3), keepdims=True)
  return ((x >= least) & (x > 0)).astype(jnp.float32)


def by_place(mask, count, keys):
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
  places = jnp.stack([rows, columns], -1).reshape(-1, 2) / max(h, w)
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
  kept = jnp.where(mask > 0, strength, jnp.nan)
  levels = jnp.linspace(0, 1, count + 1)[1:-1]
  bounds = jnp.nanquantile(kept, levels, axis=(1, 2, 3))  # [count - 1, b]
  labels = (strength >= bounds.T[:, None, None, :]).sum(-1)
  return jax.nn.one_hot(labels, count) * mask


def _kmeans(places, mask, count, key):
  """Number of the nearest centre of each place [n]; centres are means of those in the mask."""

  def distances(centres):
    return ((places[:, None] - centres) ** 2).sum(-1)

  def pick(key, weights):
    # By the inverse of the cumulative sum: jax.random.choice would sort.
    total = jnp.cumsum(weights)
    at = jnp.searchsorted(total, jax.random.uniform(key) * total[-1], side='right')
    return places[jnp.minimum(at, len(places) - 1)]

  first, *keys = jax.random.split(key, count)
  centres = pick(first, mask)[None]
  for key in keys:
    centres = jnp.concatenate([centres, pick(key, mask * distances(centres).min(-1))[None]])

  def body(_, centres):
    nearest = jax.nn.one_hot(distances(centres).argmin(-1), count) * mask[:, None]
    mass = nearest.sum(0)[:, None]
    return jnp.where(mass > 0, nearest.T @ places / jnp.maximum(mass, 1), centres)

  centres = jax.lax.fori_loop(0, _ROUNDS, body, centres)
  return distances(centres).argmin(-1)
