"""What a real predictor got wrong, in the parts that `noise` simulates: the paper's analysis.

SDDR, appendix A.4: an affine map for each region in each patch, the loss of resolution, and many
small Gaussians that lie on the edges. The authors find the Gaussians by gradient descent. With
their places and widths given, the map is linear in their heights, and conjugate gradients on the
normal equations (LSMR) find the best ones within some dozen products.
"""

from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse.linalg import LinearOperator, lsmr

from depthjax.data.errors import components, noise
from depthjax.files import depth

_RESOLUTIONS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.12)
_SIGMAS = (0.5, 0.8, 1.3, 2.2)  # Of the Gaussians, pixels.
_RIDGE = 1e-4  # Of the variance of the truth: what keeps the map of a flat region from tilting.


class Parts(NamedTuple):
  """A prediction in parts, in the units of the truth.

  Attributes:
    scale, shift: the affine map that brings the prediction to the truth, all in all.
    resolution: at which the truth was seen, a share of the map's.
    inconsistency: float32 [h w], what the affine maps of regions change.
    gaussians: what lies on the edges.
  """

  scale: float
  shift: float
  resolution: float
  inconsistency: np.ndarray
  gaussians: noise.Gaussians


def fit(
  truth: np.ndarray,
  prediction: np.ndarray,
  valid: np.ndarray | None = None,
  *,
  patch: float = 1 / 16,
  density: float = 2.0,
  iterations: int = 100,
  seed: int = 0,
) -> Parts:
  """Finds the parts of a prediction's error.

  Args:
    truth: disparity, float32 [h w].
    prediction: disparity of any scale and shift, float32 [h w].
    valid: bool [h w], where the truth is known; None is everywhere.
    patch: side of the patches as a share of the long side.
    density: Gaussians for each pixel on or beside an edge.
    iterations: of LSMR.
    seed: of where the Gaussians lie.

  Raises:
    ValueError: maps of different shapes, or none of the truth is known.
  """
  known = np.ones(truth.shape, bool) if valid is None else valid.astype(bool)
  if truth.shape != prediction.shape or known.shape != truth.shape:
    raise ValueError(f'maps of {truth.shape}, {prediction.shape} and {known.shape}; equal ones fit')
  if not known.any():
    raise ValueError('no pixel of the truth is known; there is nothing to fit')
  truth = depth.fill(truth.astype(np.float32), known)
  scale, shift = np.polyfit(prediction[known].astype(np.float64), truth[known], 1)
  aligned = (prediction * scale + shift).astype(np.float32)
  side = max(4, 2 * round(patch * max(truth.shape) / 2))
  edges = noise.edges(truth)
  share, seen, change = _resolution(truth, aligned, edges, known, side)
  near = cv2.dilate(edges.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
  gaussians = noise.draw_gaussians(np.random.default_rng(seed), near, density, _SIGMAS)
  gaussians = _heights(gaussians, aligned - seen - change, known, iterations)
  return Parts(float(scale), float(shift), share, change, gaussians)


def reconstruct(truth: np.ndarray, parts: Parts) -> np.ndarray:
  """The prediction [h w], in the units of the truth [h w], of its parts alone."""
  seen = _seen(truth.astype(np.float32), parts.resolution)
  return seen + parts.inconsistency + noise.splat(parts.gaussians, truth.shape)


def psnr(truth: np.ndarray, prediction: np.ndarray, parts: Parts, valid=None) -> float:
  """How well the parts explain a prediction, dB; the peak is the range of the truth."""
  known = np.ones(truth.shape, bool) if valid is None else valid.astype(bool)
  filled = depth.fill(truth.astype(np.float32), known)
  aligned = prediction * parts.scale + parts.shift
  rest = (aligned - reconstruct(filled, parts))[known].astype(np.float64)
  return float(10 * np.log10(np.ptp(truth[known]) ** 2 / max(np.mean(rest**2), 1e-20)))


def _seen(truth, share):
  shape = tuple(max(2, round(share * size)) for size in truth.shape)
  return noise.resized(noise.resized(truth, shape), truth.shape, cubic=True)


def _resolution(truth, prediction, edges, known, side):
  """The resolution that leaves least: its share, what is seen at it, and what regions change."""
  tried = []
  for share in _RESOLUTIONS:
    seen = _seen(truth, share)
    change = _affine(seen, prediction, edges, known, side)
    tried.append((np.sum((prediction - seen - change)[known] ** 2), share, seen, change))
  return min(tried, key=lambda one: one[0])[1:]


def _affine(truth, prediction, edges, known, side):
  """What least squares in each region of each patch changes: float32 [h w]."""
  tiling = components.patches(truth.shape, side)
  labels, count = components.label(edges | ~known, tiling)
  x, y = truth - truth[known].mean(), prediction - truth
  mean_x, mean_y, mean_xx, mean_xy = (
    components.means(labels, count, part) for part in (x, y, x * x, x * y)
  )
  variance = np.maximum(mean_xx - mean_x**2, 0) + _RIDGE * x[known].var()
  slope = (mean_xy - mean_x * mean_y) / variance
  base = mean_y - slope * mean_x
  slope[0] = base[0] = 0
  change = base[labels] + slope[labels] * x.ravel()
  return components.blend(tiling, change, edges | ~known)


def _heights(gaussians, rest, known, iterations):
  """The Gaussians with the heights that leave least of `rest` where it is known."""
  widths = np.array(gaussians.sigmas)[gaussians.kinds]  # All columns become about equally long.

  def forward(x):
    drawn = noise.splat(gaussians._replace(heights=x / widths), rest.shape)
    return (drawn * known).ravel().astype(np.float64)

  def adjoint(values):
    values = values.reshape(rest.shape).astype(np.float32) * known
    return noise.gather(gaussians, values) / widths

  if not len(widths):
    return gaussians
  rest = np.where(known, rest, 0)
  operator = LinearOperator((rest.size, len(widths)), forward, rmatvec=adjoint, dtype=np.float64)
  found = lsmr(operator, rest.ravel().astype(np.float64), damp=1e-3, maxiter=iterations)[0]
  return gaussians._replace(heights=(found / widths).astype(np.float32))
