"""Errors of a simulated depth predictor in its disparity: what N_d gives for a known truth.

As the paper has it (SDDR, appendix A.4), a prediction is the truth, plus an inconsistency within
regions, plus a deformation of the edges. The inconsistency is an affine map of each region between
edges, in each of many overlapping patches. The deformation is the loss of resolution, and many
small Gaussians that lie on the edges. A smooth error of the whole map comes on top: without it the
low prediction would be better than any predictor is.
"""

import dataclasses

import cv2
import numpy as np

from depthjax.data.errors import components

STEP = 0.04  # Of the range, between neighbours: an edge.
_SIGMAS = (0.6, 1.0, 1.7)  # Of the Gaussians, pixels of the inference.


@dataclasses.dataclass(frozen=True)
class Amplitudes:
  """How wrong a predictor is. Lengths are shares of the range of a map.

  Attributes:
    offset: deviation of the offset of a region, in a patch.
    gain: deviation of the factor of a region's own relief.
    patch: side of a patch as a share of the map's.
    smooth: deviation of the error that varies slowly over the map.
    cells: how often it varies, along a side.
    edge: deviation of the Gaussians on edges, as a share of the step there.
    density: Gaussians for each pixel of an edge.
  """

  offset: float = 0.0
  gain: float = 0.0
  patch: float = 1 / 16
  smooth: float = 0.0
  cells: int = 3
  edge: float = 0.0
  density: float = 0.5


def simulate(
  rng: np.random.Generator,
  disparity: np.ndarray,
  valid: np.ndarray | None = None,
  *,
  resolution: tuple[int, int],
  shape: tuple[int, int] | None = None,
  amplitudes: Amplitudes = Amplitudes(),
) -> np.ndarray:
  """What a predictor gives for a picture, or a window of one, whose disparity is known.

  Args:
    disparity: float32 [h w], complete; the truth.
    valid: unused pixels are complete already.
    resolution: height and width at which the predictor looks; no larger than the map.
    shape: height and width of the result; None is that of `disparity`.

  Returns:
    Disparity, float32 of `shape`; its range is about that of the truth.
  """
  shape = shape or disparity.shape
  seen = resized(disparity, tuple(map(min, resolution, disparity.shape)))
  span = float(seen.max() - seen.min())
  if span > 0:
    seen = seen + inconsistency(rng, seen, amplitudes)
    seen += smooth(rng, seen.shape, amplitudes.cells) * (amplitudes.smooth * span)
  return resized(seen, shape)


def resized(x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  """A map [h w] at another size: the mean over areas where it shrinks, else cubic."""
  if x.shape == tuple(shape):
    return x
  shrinks = shape[0] < x.shape[0] or shape[1] < x.shape[1]
  method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
  return cv2.resize(x, (shape[1], shape[0]), interpolation=method)


def steps(disparity: np.ndarray) -> np.ndarray:
  """The range [h w] of the disparity over a pixel and its neighbours."""
  cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
  return cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, cross)


def inconsistency(
  rng: np.random.Generator, disparity: np.ndarray, amplitudes: Amplitudes
) -> np.ndarray:
  """The error [h w] of a predictor at its own resolution, the smooth one aside."""
  span = float(disparity.max() - disparity.min())
  height = steps(disparity)
  edges = height > max(STEP, 4 / max(disparity.shape)) * span
  out = np.zeros_like(disparity)
  if amplitudes.offset or amplitudes.gain:
    side = max(4, 2 * round(amplitudes.patch * max(disparity.shape) / 2))
    tiling = components.patches(disparity.shape, side)
    labels, count = components.label(edges, tiling)
    centre = components.means(labels, count, disparity)
    offset, gain = rng.standard_normal((2, count), np.float32)
    gain *= amplitudes.gain
    base = offset * (amplitudes.offset * span) - gain * centre.astype(np.float32)
    errors = base[labels] + gain[labels] * disparity.ravel()
    out += components.blend(tiling, errors, edges)
  if amplitudes.edge:
    out += _on_edges(rng, height * amplitudes.edge, edges, amplitudes.density)
  return out


def _on_edges(rng, height, edges, density):
  """Gaussians [h w] of random height and width on random pixels of the edges."""
  places = np.flatnonzero(edges)
  out = np.zeros(edges.shape, np.float32)
  count = int(density * len(places))
  if not count:
    return out
  chosen = places[rng.integers(len(places), size=count)]
  peaks = rng.standard_normal(count, np.float32) * height.ravel()[chosen]
  kind = rng.integers(len(_SIGMAS), size=count)
  for number, sigma in enumerate(_SIGMAS):
    own = kind == number
    dots = np.bincount(chosen[own], peaks[own], edges.size).reshape(edges.shape)
    # The sum of a Gaussian whose peak is 1; wide ones are lower, for more of them overlap.
    scale = 2 * np.pi * sigma * _SIGMAS[0]
    out += cv2.GaussianBlur(dots.astype(np.float32), (0, 0), sigma) * scale
  return out


def believed(rng: np.random.Generator, disparity: np.ndarray, amount: float) -> np.ndarray:
  """The error of a predictor that all its calls on a picture share: bent, and a smooth error.

  Args:
    disparity: float32 [h w].
    amount: deviation of the error as a share of the range; 0 changes nothing.
  """
  low = float(disparity.min())
  span = float(disparity.max()) - low
  curve, error = rng.standard_normal(), smooth(rng, disparity.shape, 2)
  if not amount or not span:
    return disparity
  unit = (disparity - low) / span
  # The bent part is largest in the middle of the range, where it is a quarter of the number here.
  bent = unit + np.float32(np.clip(4 * amount * curve, -0.8, 0.8)) * unit * (1 - unit)
  return (bent + error * np.float32(amount)) * span + low


def smooth(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
  """Smooth noise, float32 [h w], of mean 0 and deviation 1 over all draws (about)."""
  coarse = rng.standard_normal((cells + 3, cells + 3), np.float32)
  h, w = shape
  scale = np.array([w, h]) / cells
  # From one cell inside: the border of the coarse grid is flat.
  shift = scale * (0.5 + rng.random(2))
  matrix = np.array([[scale[0], 0, -shift[0]], [0, scale[1], -shift[1]]])
  return 1.15 * cv2.warpAffine(
    coarse, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
  )
