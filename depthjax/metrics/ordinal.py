"""Whether pairs of pixels are in the right order of depth, in NumPy float64 on the host.

Two measures go by the name ORD, and both are here, with D3R. None of the papers that print them
released the code of all: compare values of one table only. Maps are [h w]; chance comes from a
seed.

Sources: Miangoleh et al., "Boosting monocular depth estimation models to high-resolution via
content-adaptive multi-resolution merging", CVPR 2021 (ORD over superpixels, D3R); Li et al.,
"Self-distilled depth refinement with noisy Poisson fusion", NeurIPS 2024, equation 13, and Xian et
al., "Structure-guided ranking loss for single image depth prediction", CVPR 2020 (ORD by ranking).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage import segmentation

from depthjax.metrics import aligned

SEGMENTS, COMPACTNESS = 5000, 0.1
# Superpixels are found at about this long side, as the authors reduce their pictures for it.
_LONG_SIDE = 640
_PARTNERS, _RATIO = 3, 1.03
_D3R_TRUE, _D3R_RATIO = 1.1, 1.01
TAU = 0.03
# Edges of the ranking: from this part of the largest gradient; pixels to either side of an edge.
_EDGE, _REACH = 0.1, (2, 30)


class Superpixels(NamedTuple):
  """Superpixels of a true disparity, those alone whose centre is valid.

  Attributes:
    centres: (row, column) in pixels of the whole picture [n 2].
    touching: pairs of indices of neighbours, each once [m 2].
    valid: the pixels that count [h w].
  """

  centres: np.ndarray
  touching: np.ndarray
  valid: np.ndarray


def superpixels(truth: np.ndarray, valid: np.ndarray, segments: int = SEGMENTS) -> Superpixels:
  """SLIC superpixels of the true disparity; what is not valid is told apart as disparity 0.

  Args:
    truth: disparity above 0 where valid [h w].
    valid: bool [h w].
    segments: how many are asked for; of pictures beyond about 640 pixels the disparity is taken
      at every so many pixels first.

  Raises:
    ValueError: as metrics.aligned, or no two neighbours with valid centres.
  """
  truth, _, valid = aligned.checked(np.where(valid, truth, 0), truth, valid)
  factor = max(1, round(max(truth.shape) / _LONG_SIDE))
  offset = factor // 2
  small = truth[offset::factor, offset::factor]
  labels = segmentation.slic(
    small, segments, compactness=COMPACTNESS, start_label=0, channel_axis=None
  )
  count = labels.max() + 1
  sizes = np.bincount(labels.ravel(), minlength=count)
  places = [
    np.bincount(labels.ravel(), at.ravel(), count) // np.maximum(sizes, 1)
    for at in np.indices(labels.shape)
  ]
  centres = np.stack(places, axis=-1).astype(int) * factor + offset
  kept = valid[*centres.T] & (sizes > 0)
  order = np.where(kept, np.cumsum(kept) - 1, -1)
  sides = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
  pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=-1) for a, b in sides])
  pairs = np.sort(order[pairs[pairs[:, 0] != pairs[:, 1]]], axis=1)
  touching = np.unique(pairs[pairs[:, 0] >= 0], axis=0)
  if not len(touching):
    raise ValueError('the truth has no two neighbouring superpixels with valid centres')
  return Superpixels(centres[kept], touching, valid)


def d3r(prediction: np.ndarray, truth: np.ndarray, points: Superpixels) -> float:
  """Depth discontinuity disagreement ratio, 0 the best, 2 the worst: superpixels that touch.

  Pairs count whose true depths differ by a ratio over 1.1; each adds how far the predicted order
  (-1, 0 or 1, by a ratio of 1.01) is from the true one. A constant prediction has 1. (The authors
  leave out depths of 0, which is what is unknown in their files. Here that is what is not valid,
  and the nearest pixel, at 0 of the range, counts.)

  Args:
    prediction: disparity of any range [h w], finite.
    truth: disparity above 0 where valid [h w].
    points: of the truth, `superpixels`.

  Raises:
    ValueError: sizes that differ, values that are not finite, no pair that differs.
  """
  true, guess = _depths(prediction, truth, points)
  a, b = points.touching.T
  differ = _order(true[a], true[b], _D3R_TRUE) != 0
  if not differ.any():
    raise ValueError(f'no neighbours of the truth differ by a ratio over {_D3R_TRUE}')
  return _disagreement(true, guess, a[differ], b[differ], _D3R_RATIO)


def ord_superpixel(
  prediction: np.ndarray, truth: np.ndarray, points: Superpixels, *, seed: int
) -> float:
  """ORD of Boost, 0 the best, 2 the worst: every superpixel with three others, drawn by the seed.

  As `d3r`, with the ratio 1.03 for both orders and all pairs counted.
  """
  true, guess = _depths(prediction, truth, points)
  n = len(true)
  a = np.repeat(np.arange(n), _PARTNERS)
  b = (a + np.random.default_rng(seed).integers(1, n, len(a))) % n
  return _disagreement(true, guess, a, b, _RATIO)


def ord_ranking(
  prediction: np.ndarray,
  truth: np.ndarray,
  valid: np.ndarray,
  guide: np.ndarray | None = None,
  *,
  seed: int,
  tau: float = TAU,
) -> float:
  """ORD of SDDR: a ranking loss over pairs across edges and as many drawn anywhere.

  The prediction is aligned to the truth by least squares and brought to [0, 1] over the valid
  pixels, so its least value is not 0: a perfect prediction keeps log(1 + exp(-difference)).

  Args:
    prediction: disparity, or depth if the truth is, of any range [h w].
    truth: above 0 where valid [h w].
    valid: bool [h w].
    guide: sRGB [h w 3] in [0, 1] whose edges are taken, of the red channel, as the authors do it;
      without one those of the truth are, its holes filled up from their borders. Values by the one
      are not to be compared to values by the other.
    seed: of the draw.
    tau: a ratio of true values below 1 + tau is none.

  Raises:
    ValueError: as metrics.aligned, a guide of another size, no edge, no pair of valid pixels.
  """
  prediction, truth, valid = aligned.checked(prediction, truth, valid)
  if guide is None:
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    edges = truth[*nearest]
  elif guide.shape != (*truth.shape, 3):
    raise ValueError(f'the guide {list(guide.shape)} must be {[*truth.shape, 3]}')
  else:
    edges = np.asarray(guide[..., 0], np.float64)
  rng = np.random.default_rng(seed)
  a, b = _edge_pairs(edges, valid, rng)
  more = rng.integers(0, truth.size, (2, len(a)))
  a, b = np.concatenate([a, more[0]]), np.concatenate([b, more[1]])
  kept = valid.ravel()[a] & valid.ravel()[b]
  if not kept.any():
    raise ValueError('no pair of pixels is valid')
  a, b = a[kept], b[kept]
  scale, shift = aligned.line(prediction[valid], truth[valid])
  values = scale * prediction + shift
  low, span = values[valid].min(), np.ptp(values[valid])
  values = ((values - low) / span if span > 0 else np.zeros_like(values)).ravel()
  return float(_ranking(values[a] - values[b], truth.ravel()[a] / truth.ravel()[b], tau).mean())


def _ranking(difference: np.ndarray, ratio: np.ndarray, tau: float) -> np.ndarray:
  """Equation 13 for each pair [n]."""
  order = np.where(ratio >= 1 + tau, 1, np.where(ratio <= 1 / (1 + tau), -1, 0))
  return np.where(order == 0, difference**2, np.logaddexp(0, -order * difference))


def _edge_pairs(
  edges: np.ndarray, valid: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Flat indices of pairs: of four points on a line across each edge, neighbours in turn.

  As many edge pixels are drawn, with repetition, as there are valid ones.
  """
  h, w = edges.shape
  across = np.stack([ndimage.sobel(edges, axis, mode='nearest') for axis in (0, 1)])
  size = np.hypot(*across)
  places = np.flatnonzero((size >= _EDGE * size.max()) & (size > 0) & valid)
  if not len(places):
    raise ValueError('the map that edges are taken from has none among the valid pixels')
  anchors = rng.choice(places, len(places))
  rows, columns = np.unravel_index(anchors, edges.shape)
  direction = across.reshape(2, -1)[:, anchors] / size.ravel()[anchors]
  signs = np.array([-1, -1, 1, 1])[:, None]
  distances = signs * rng.integers(_REACH[0], _REACH[1] + 1, (4, len(anchors)))
  rows = np.clip(rows + np.rint(distances * direction[0]).astype(int), 0, h - 1)
  columns = np.clip(columns + np.rint(distances * direction[1]).astype(int), 0, w - 1)
  points = rows * w + columns
  return points[:-1].ravel(), points[1:].ravel()


def _depths(
  prediction: np.ndarray, truth: np.ndarray, points: Superpixels
) -> tuple[np.ndarray, np.ndarray]:
  """True and predicted depth [n] at the centres, each brought to [0, 1] over the valid pixels.

  The predicted disparity takes the range of the true one, as a part of the largest, before it is
  inverted: a perfect one gives the depth of the truth.
  """
  prediction, truth, valid = aligned.checked(prediction, truth, points.valid)
  low, high = truth[valid].min(), truth[valid].max()
  guess = _unit(prediction, valid) * (1 - low / high) + low / high
  places = tuple(points.centres.T)
  return tuple(_unit(1 / x, valid)[places] for x in (truth, guess))


def _unit(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """The map brought to [0, 1] over its valid pixels and clipped elsewhere; constant to zeros."""
  low, high = values[valid].min(), values[valid].max()
  return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _order(a: np.ndarray, b: np.ndarray, ratio: float) -> np.ndarray:
  """1 where a is over `ratio` times b, -1 where b is over that of a, else 0."""
  quotient = (a + np.finfo(float).eps) / (b + np.finfo(float).eps)
  return np.where(quotient > ratio, 1, np.where(quotient < 1 / ratio, -1, 0))


def _disagreement(
  true: np.ndarray, guess: np.ndarray, a: np.ndarray, b: np.ndarray, ratio: float
) -> float:
  return float(np.mean(abs(_order(true[a], true[b], ratio) - _order(guess[a], guess[b], ratio))))
