"""Losses of gradient-based depth map fusion (Dai et al., AAAI 2023): one number an example [b].

Values come from the low prediction. Orders come from it too, once a guided filter has sharpened it
by the high one, for pairs of points across the edges of either. Maps are disparity [b h w 1] in
[0, 1]; inside they are from -1 to 1, as the authors have them.
"""

import jax
import jax.numpy as jnp

from depthjax.ops import gradients, guided, resize

_AXES = (1, 2, 3)
# Points lie within 60 pixels of an edge at 2048, within 30 and 15 at the half and the quarter.
REACH = 60 / 2048
_SHARE = 0.15  # Of the pixels, those that are edges.
_RATIO = 1.001
_WEIGHTS = {'high': 8.0, 'guided': 12.0}


def sharpened(low, high):
  """The low prediction by the guided filter, its edges those of the high one: [b h w 1]."""
  return guided.guided(low, high, radius=max(1, low.shape[1] // 12 - 1), epsilon=1e-12)


def losses(outputs, low, high, keys, *, reach=REACH):
  """The two parts of the loss, each summed over the three sizes of the network's disparity.

  Args:
    outputs: 'fusion' [b h w 1], 'half' [b h/2 w/2 1], 'quarter' [b h/4 w/4 1].
    low, high: what the network was given [b h w 1].
    keys: the examples' typed keys [b].
    reach: how far from an edge points may lie, as a share of the rows.

  Returns:
    'values', mean of |p - low| + |tanh p - tanh low|, and 'ranking', 8 and 12 times `ranking` of
    pairs across the edges of the high and of the sharpened low prediction.

  Two oddities of the released code are left out: it takes the absolute value of both derivatives,
  so that half of all edges are crossed along themselves, and the outermost pixels for equal.
  """
  guide = jax.lax.stop_gradient(sharpened(low, high))
  maps = [2 * x - 1 for x in (low, high, guide)]
  values, order = 0.0, 0.0
  for i, name in enumerate(('fusion', 'half', 'quarter')):
    prediction = 2 * outputs[name] - 1
    low, high, guide = maps
    values += _difference(prediction, low)
    for j, (source, edges) in enumerate((('high', high), ('guided', guide))):
      own = jax.vmap(jax.random.fold_in, (0, None))(keys, 2 * i + j)
      points, counts = jax.vmap(lambda e, k: across_edges(k, e, reach=reach))(edges, own)
      order += _WEIGHTS[source] * jax.vmap(ranking)(prediction, guide, points, counts)
    maps = [resize.downsample(x, 2) for x in maps] if name != 'quarter' else maps
  return {'values': values, 'ranking': order}


def across_edges(key, x, *, reach=REACH):
  """Four points on a line across each of the strongest 15 % of edges, from side to side.

  Args:
    key: of the distances, two to either side.
    x: map [h w 1] whose Sobel gradient makes the edges; those near the border are none.
    reach: the largest distance, as a share of the rows.

  Returns:
    Flat indices [4 n], and {0, 1} [n] which of the edges count: a flat map has fewer.
  """
  h, w, _ = x.shape
  distance = reach * h
  dx, dy = (derivative[..., 0] for derivative in gradients.sobel(x))
  size = jnp.hypot(dx, dy)
  margin = int(0.2 * distance)
  inside = jnp.zeros((h, w)).at[margin : h - margin, margin : w - margin].set(1)
  strength, anchors = jax.lax.top_k((size * inside).ravel(), max(1, int(_SHARE * h * w)))
  counts = strength > 0
  sides = jnp.array([[-1.0], [-1.0], [1.0], [1.0]])
  steps = jax.random.uniform(key, (4, len(anchors)), maxval=distance) * sides
  steps = jnp.sort(steps, axis=0) / jnp.where(counts, strength, 1)
  # Towards the edge: the conversion cuts the fraction off.
  rows, columns = (
    at + (steps * derivative.ravel()[anchors]).astype(jnp.int32)
    for at, derivative in ((anchors // w, dy), (anchors % w, dx))
  )
  return jnp.clip(rows, 0, h - 1) * w + jnp.clip(columns, 0, w - 1), counts.astype(jnp.float32)


def ranking(x, guide, points, counts):
  """Loss of the pairs of neighbours among points, the three of an edge summed: a number.

  Pairs that are equal in the guide, by a ratio of at most 1.001, should be so; of others the
  difference should be that of the guide: log(1 + exp(-1 / (|error| + 0.1))).

  Args:
    x: map [h w 1] from -1 to 1.
    guide: map [h w 1] that says what is right.
    points: flat indices [4 n].
    counts: weight of each [n].
  """
  values, true = (jnp.take(y.ravel(), points) for y in (x, guide))
  difference, goal = -jnp.diff(values, axis=0), -jnp.diff(true, axis=0)
  first, second = jnp.abs(true[:-1]), jnp.abs(true[1:])
  differ = jnp.maximum(first, second) >= _RATIO * jnp.minimum(first, second)
  differ &= first * second > 0
  far = jnp.logaddexp(0.0, -1 / (jnp.abs(difference - goal) + 0.1))
  loss = jnp.where(differ, far, difference**2)
  return (loss * counts).sum() / jnp.maximum(counts.sum(), 1)


def _difference(x, y):
  return (jnp.abs(x - y) + jnp.abs(jnp.tanh(x) - jnp.tanh(y))).mean(_AXES)
