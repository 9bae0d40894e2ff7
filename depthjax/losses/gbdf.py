"""Losses of gradient-based depth map fusion (Dai et al., AAAI 2023): one value per example [b].

The low-resolution prediction supervises values. Sharpened by a guided filter with the edges of the
high-resolution one, it also supervises the order of points across edges. Maps are disparity
[b h w 1] in [0, 1], mapped to [-1, 1] internally as in the released code.
"""

import jax
import jax.numpy as jnp

from depthjax.ops import gradients, guided, resize

DISTANCE = 60 / 2048  # Largest distance of points from an edge, as a fraction of the rows.
_EDGES = 0.15  # Fraction of the pixels that are edges.
_RATIO = 1.001
_WEIGHTS = {'high': 8.0, 'guided': 12.0}


def sharpened(low, high):
  """The low prediction filtered by a guided filter with the high one as guide: [b h w 1]."""
  return guided.guided(low, high, radius=max(1, low.shape[1] // 12 - 1), epsilon=1e-12)


def losses(outputs, low, high, keys, *, distance=DISTANCE):
  """The two terms of the loss, each summed over the three resolutions of the network's output.

  Args:
    outputs: 'fusion' [b h w 1], 'half' [b h/2 w/2 1], 'quarter' [b h/4 w/4 1].
    low, high: inputs of the network [b h w 1].
    keys: typed keys of the examples [b].
    distance: as `DISTANCE`.

  Returns:
    'values': mean of |p - low| + |tanh p - tanh low|. 'ranking': 8 times `ranking` across edges of
    the high prediction, plus 12 times `ranking` across edges of the sharpened low one.

  Two errors of the released code are not reproduced: it takes the absolute value of both
  derivatives, so half of the lines run along the edge, and treats the outermost pixels as equal.
  """
  guide = jax.lax.stop_gradient(sharpened(low, high))
  maps = [2 * x - 1 for x in (low, high, guide)]
  values, order = 0.0, 0.0
  for i, name in enumerate(('fusion', 'half', 'quarter')):
    prediction = 2 * outputs[name] - 1
    low, high, guide = maps
    error = jnp.abs(prediction - low)
    error += jnp.abs(jnp.tanh(prediction) - jnp.tanh(low))
    values += error.mean(axis=(1, 2, 3))
    for j, (source, edges) in enumerate((('high', high), ('guided', guide))):
      own = jax.vmap(jax.random.fold_in, (0, None))(keys, 2 * i + j)
      points, counts = jax.vmap(lambda e, k: across_edges(k, e, distance=distance))(edges, own)
      order += _WEIGHTS[source] * jax.vmap(ranking)(prediction, guide, points, counts)
    maps = [resize.downsample(x, 2) for x in maps] if name != 'quarter' else maps
  return {'values': values, 'ranking': order}


def across_edges(key, x, *, distance=DISTANCE):
  """Four points on a line across each of the strongest 15 % of edge pixels, two on each side.

  Args:
    key: key of the random distances.
    x: map [h w 1] whose Sobel gradient defines the edges; those near the border are ignored.
    distance: as `DISTANCE`.

  Returns:
    Flat indices [4 n] and the mask {0, 1} [n] of the edges to use, fewer than n in a flat map.
  """
  h, w, _ = x.shape
  distance = distance * h
  dx, dy = (derivative[..., 0] for derivative in gradients.sobel(x))
  size = jnp.hypot(dx, dy)
  margin = int(0.2 * distance)
  inside = jnp.zeros((h, w)).at[margin : h - margin, margin : w - margin].set(1)
  strength, anchors = jax.lax.top_k((size * inside).ravel(), max(1, int(_EDGES * h * w)))
  counts = strength > 0
  sides = jnp.array([[-1.0], [-1.0], [1.0], [1.0]])
  steps = jax.random.uniform(key, (4, len(anchors)), maxval=distance) * sides
  steps = jnp.sort(steps, axis=0) / jnp.where(counts, strength, 1)
  # The conversion rounds towards the edge.
  rows, columns = (
    at + (steps * derivative.ravel()[anchors]).astype(jnp.int32)
    for at, derivative in ((anchors // w, dy), (anchors % w, dx))
  )
  return jnp.clip(rows, 0, h - 1) * w + jnp.clip(columns, 0, w - 1), counts.astype(jnp.float32)


def ranking(x, guide, points, counts):
  """Ranking loss of pairs of successive points, summed over the three pairs of an edge.

  Pairs with a ratio below 1.001 in the guide should be equal: squared difference. Others should
  have the difference of the guide: log(1 + exp(-1 / (|error| + 0.1))).

  x and the guide are maps [h w 1] in [-1, 1]; points and counts as `across_edges` returns them.
  """
  values, true = (jnp.take(y.ravel(), points) for y in (x, guide))
  difference, goal = -jnp.diff(values, axis=0), -jnp.diff(true, axis=0)
  first, second = jnp.abs(true[:-1]), jnp.abs(true[1:])
  differ = jnp.maximum(first, second) >= _RATIO * jnp.minimum(first, second)
  differ &= first * second > 0
  far = jnp.logaddexp(0.0, -1 / (jnp.abs(difference - goal) + 0.1))
  loss = jnp.where(differ, far, difference**2)
  return (loss * counts).sum() / jnp.maximum(counts.sum(), 1)
