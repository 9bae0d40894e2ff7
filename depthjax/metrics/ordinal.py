"""Errors of the depth order of pairs of pixels, in NumPy float64 on the host. Maps are [h w].

Two different measures are named ORD; both are here, with D3R. Not all of their code was released,
so values must not be compared with those of other implementations.

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
_LONG_SIDE = 640  # Superpixels are computed at about this long side, as in the paper.
_PARTNERS, _RATIO = 3, 1.03
_D3R_TRUE, _D3R_RATIO = 1.1, 1.01
_TAU = 0.03
# Edges of `ord_ranking`: fraction of the largest gradient, distances of points from them in pixels.
_EDGE, _DISTANCES = 0.1, (2, 30)


class Superpixels(NamedTuple):
  """Superpixels of a true disparity whose centre is valid."""

  centres: np.ndarray  # (row, column) in pixels of the full-size image [n 2].
  touching: np.ndarray  # Pairs of indices of neighbours, each once [m 2].
  valid: np.ndarray  # Mask of valid pixels [h w].


def superpixels(truth: np.ndarray, valid: np.ndarray, segments: int = SEGMENTS) -> Superpixels:
  """SLIC superpixels of the true disparity, in which invalid pixels have disparity 0.

  Args:
    truth: disparity, above 0 where valid [h w]; subsampled to a long side of about 640 pixels.
    valid: bool [h w].
    segments: approximate number of superpixels.

  Raises:
    ValueError: as aligned.align, or no two neighbours with valid centres.
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
  positions = [
    np.bincount(labels.ravel(), at.ravel(), count) // np.maximum(sizes, 1)
    for at in np.indices(labels.shape)
  ]
  centres = np.stack(positions, axis=-1).astype(int) * factor + offset
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
  """Depth discontinuity disagreement ratio of neighbouring superpixels, from 0 (best) to 2.

  The mean difference between predicted and true order (-1, 0 or 1 by a ratio of 1.01), over the
  pairs whose true depths differ by a ratio above 1.1. A constant prediction scores 1. The authors
  ignore depth 0, which is unknown in their files; here the mask says what is unknown.

  Args:
    prediction: disparity of any range [h w], finite.
    truth: disparity, above 0 where valid [h w].
    points: `superpixels` of the truth.

  Raises:
    ValueError: different sizes, values that are not finite, no pair whose depths differ.
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
  """ORD of Boost, from 0 (best) to 2: each superpixel is compared with three random others.

  As `d3r`, but over all these pairs and with the ratio 1.03 for both orders.
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
) -> float:
  """ORD of SDDR: a ranking loss over pairs across edges and as many random pairs.

  The prediction is aligned to the truth by least squares and normalised to [0, 1] over the valid
  pixels. The minimum is above 0: a perfect prediction has log(1 + exp(-difference)).

  Args:
    prediction: disparity, or depth if the truth is depth, of any range [h w].
    truth: above 0 where valid [h w].
    valid: bool [h w].
    guide: sRGB image [h w 3] in [0, 1], whose red channel defines the edges, as in the paper's
      code; default the truth, with holes filled by the nearest valid pixel. Scores with and
      without a guide are not comparable.
    seed: seed of the random pairs.

  Raises:
    ValueError: as aligned.align, a guide of another size, no edge, no pair of valid pixels.
  """
  prediction, truth, valid = aligned.checked(prediction, truth, valid)
  if guide is None:
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    edges = truth[*nearest]
  elif guide.shape != (*truth.shape, 3):
    raise ValueError(f'the guide is {list(guide.shape)}; it must be {[*truth.shape, 3]}')
  else:
    edges = np.asarray(guide[..., 0], np.float64)
  rng = np.random.default_rng(seed)
  a, b = _edge_pairs(edges, valid, rng)
  more = rng.integers(0, truth.size, (2, len(a)))
  a, b = np.concatenate([a, more[0]]), np.concatenate([b, more[1]])
  kept = valid.ravel()[a] & valid.ravel()[b]
  if not kept.any():
    raise ValueError('both pixels of a pair are never valid; the truth has too few valid pixels')
  a, b = a[kept], b[kept]
  scale, shift = aligned.line(prediction[valid], truth[valid])
  values = _unit(scale * prediction + shift, valid).ravel()
  return float(_ranking(values[a] - values[b], truth.ravel()[a] / truth.ravel()[b], _TAU).mean())


def _ranking(difference: np.ndarray, ratio: np.ndarray, tau: float) -> np.ndarray:
  """Equation 13 for each pair [n]; true values with a ratio below 1 + tau count as equal."""
  order = np.where(ratio >= 1 + tau, 1, np.where(ratio <= 1 / (1 + tau), -1, 0))
  return np.where(order == 0, difference**2, np.logaddexp(0, -order * difference))


def _edge_pairs(
  edges: np.ndarray, valid: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Flat indices of pairs: successive ones of four points on a line across an edge.

  Edge pixels are drawn with replacement, as many as there are valid ones.
  """
  h, w = edges.shape
  across = np.stack([ndimage.sobel(edges, axis, mode='nearest') for axis in (0, 1)])
  size = np.hypot(*across)
  candidates = np.flatnonzero((size >= _EDGE * size.max()) & (size > 0) & valid)
  if not len(candidates):
    raise ValueError('the guide or truth is constant: it has no edge at a valid pixel')
  anchors = rng.choice(candidates, len(candidates))
  rows, columns = np.unravel_index(anchors, edges.shape)
  direction = across.reshape(2, -1)[:, anchors] / size.ravel()[anchors]
  signs = np.array([-1, -1, 1, 1])[:, None]
  distances = signs * rng.integers(_DISTANCES[0], _DISTANCES[1] + 1, (4, len(anchors)))
  rows = np.clip(rows + np.rint(distances * direction[0]).astype(int), 0, h - 1)
  columns = np.clip(columns + np.rint(distances * direction[1]).astype(int), 0, w - 1)
  points = rows * w + columns
  return points[:-1].ravel(), points[1:].ravel()


def _depths(
  prediction: np.ndarray, truth: np.ndarray, points: Superpixels
) -> tuple[np.ndarray, np.ndarray]:
  """True and predicted depth [n] at the centres, each normalised to [0, 1] over valid pixels.

  Before inversion the predicted disparity is mapped to the range of the true one, divided by its
  maximum, so that a perfect prediction gives the true depth.
  """
  prediction, truth, valid = aligned.checked(prediction, truth, points.valid)
  low, high = truth[valid].min(), truth[valid].max()
  guess = _unit(prediction, valid) * (1 - low / high) + low / high
  return tuple(_unit(1 / x, valid)[*points.centres.T] for x in (truth, guess))


def _unit(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """Normalised to [0, 1] over valid pixels and clipped elsewhere; a constant map becomes zeros."""
  low, high = values[valid].min(), values[valid].max()
  return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _order(a: np.ndarray, b: np.ndarray, ratio: float) -> np.ndarray:
  """1 where a > ratio * b, -1 where b > ratio * a, else 0."""
  quotient = (a + np.finfo(float).eps) / (b + np.finfo(float).eps)
  return np.where(quotient > ratio, 1, np.where(quotient < 1 / ratio, -1, 0))


def _disagreement(
  true: np.ndarray, guess: np.ndarray, a: np.ndarray, b: np.ndarray, ratio: float
) -> float:
  return float(np.mean(abs(_order(true[a], true[b], ratio) - _order(guess[a], guess[b], ratio))))
