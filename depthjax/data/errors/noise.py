"""Errors of a simulated depth predictor in its disparity: what N_d gives for a known truth.

As the paper has it (SDDR, appendix A.4), a prediction is the truth, plus an inconsistency within
regions, plus a deformation of the edges. The inconsistency is an affine map of each region between
edges, in each of many overlapping patches. The deformation is the loss of resolution, and many
small Gaussians that lie on the edges. A smooth error of the whole map comes on top: without it the
low prediction would be better than any predictor is.

Patches of the paper's size, a sixteenth of the map, are right to take a prediction apart (fitting).
Errors drawn in them independently look like mottled paper. To draw, larger patches are right: what
a predictor takes in at once is a third or so of what it sees at a high resolution.
"""

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

from depthjax.data.errors import components
from depthjax.files import depth

STEP = 0.04  # Of the range, between neighbours: an edge.
SIGMAS = (0.6, 1.0, 1.7)  # Of the Gaussians, pixels of the inference.


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
    white: deviation of the noise of single pixels, at the resolution of the predictor.
  """

  offset: float = 0.0
  gain: float = 0.0
  patch: float = 1 / 16
  smooth: float = 0.0
  cells: int = 3
  edge: float = 0.0
  density: float = 0.5
  white: float = 0.0


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
    disparity: float32 [h w], the truth.
    valid: bool [h w], where it is known; None is everywhere. The rest is filled from beside it.
    resolution: height and width at which the predictor looks; no larger than the map.
    shape: height and width of the result; None is that of `disparity`.

  Returns:
    Disparity, float32 of `shape`; its range is about that of the truth.
  """
  shape = shape or disparity.shape
  if valid is not None:
    disparity = depth.fill(disparity, valid)
  seen = resized(disparity, tuple(map(min, resolution, disparity.shape)))
  span = float(seen.max() - seen.min())
  if span > 0:
    seen = seen + inconsistency(rng, seen, amplitudes)
    seen += smooth(rng, seen.shape, amplitudes.cells) * (amplitudes.smooth * span)
    if amplitudes.white:
      seen += rng.standard_normal(seen.shape, np.float32) * np.float32(amplitudes.white * span)
  return resized(seen, shape, cubic=True)


def resized(x: np.ndarray, shape: tuple[int, int], *, cubic: bool = False) -> np.ndarray:
  """A map [h w] at another size: the mean over areas where it shrinks, else linear or cubic."""
  if x.shape == tuple(shape):
    return x
  shrinks = shape[0] < x.shape[0] or shape[1] < x.shape[1]
  method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
  return cv2.resize(x, (shape[1], shape[0]), interpolation=method)


def steps(disparity: np.ndarray) -> np.ndarray:
  """The range [h w] of the disparity over a pixel and its neighbours."""
  cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
  return cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, cross)


def edges(disparity: np.ndarray, height: np.ndarray | None = None) -> np.ndarray:
  """Where the disparity has an edge: bool [h w]; `height` are its `steps`, if at hand."""
  span = float(disparity.max() - disparity.min())
  height = steps(disparity) if height is None else height
  # Few pixels make any slope steep.
  return height > max(STEP, 4 / max(disparity.shape)) * span


def inconsistency(
  rng: np.random.Generator, disparity: np.ndarray, amplitudes: Amplitudes
) -> np.ndarray:
  """The error [h w] of a predictor at its own resolution, the smooth one aside."""
  span = float(disparity.max() - disparity.min())
  height = steps(disparity)
  marked = edges(disparity, height)
  out = np.zeros_like(disparity)
  if amplitudes.offset or amplitudes.gain:
    side = max(4, 2 * round(amplitudes.patch * max(disparity.shape) / 2))
    tiling = components.patches(disparity.shape, side)
    labels, count = components.label(marked, tiling)
    centre = components.means(labels, count, disparity)
    offset, gain = rng.standard_normal((2, count), np.float32)
    gain *= amplitudes.gain
    base = offset * (amplitudes.offset * span) - gain * centre.astype(np.float32)
    errors = base[labels] + gain[labels] * disparity.ravel()
    out += components.blend(tiling, errors, marked)
  if amplitudes.edge:
    drawn = draw_gaussians(rng, marked, amplitudes.density)
    # Wide ones are lower, for more of them overlap.
    lower = amplitudes.edge * SIGMAS[0] / np.array(SIGMAS, np.float32)[drawn.kinds]
    lower *= height.ravel()[drawn.places]
    out += splat(drawn._replace(heights=drawn.heights * lower), disparity.shape)
  return out


class Gaussians(NamedTuple):
  """Gaussians on a map: [n] flat places, kinds (which of the sigmas, pixels) and heights."""

  places: np.ndarray
  kinds: np.ndarray
  heights: np.ndarray
  sigmas: tuple[float, ...] = SIGMAS


def draw_gaussians(
  rng: np.random.Generator,
  allowed: np.ndarray,
  density: float,
  sigmas: tuple[float, ...] = SIGMAS,
) -> Gaussians:
  """Gaussians of random width and height, of deviation 1, on random pixels.

  Args:
    allowed: bool [h w], where they may lie.
    density: how many for each of these pixels.
  """
  places = np.flatnonzero(allowed)
  count = int(density * len(places))
  # Each pixel in turn: none is left out as long as there are enough.
  chosen = np.resize(rng.permutation(places), count)
  kinds = rng.integers(len(sigmas), size=count)
  return Gaussians(chosen, kinds, rng.standard_normal(count, np.float32), sigmas)


def splat(gaussians: Gaussians, shape: tuple[int, int]) -> np.ndarray:
  """The sum of Gaussians: float32 [h w]."""
  out = np.zeros(shape, np.float32)
  for kind, sigma in enumerate(gaussians.sigmas):
    own = gaussians.kinds == kind
    dots = np.bincount(gaussians.places[own], gaussians.heights[own], out.size)
    out += _blurred(dots.reshape(shape).astype(np.float32), sigma)
  return out


def gather(gaussians: Gaussians, values: np.ndarray) -> np.ndarray:
  """The adjoint of `splat`: values [h w], weighed by each of the Gaussians, float32 [n]."""
  out = np.zeros(len(gaussians.places), np.float32)
  for kind, sigma in enumerate(gaussians.sigmas):
    own = gaussians.kinds == kind
    out[own] = _blurred(values, sigma).ravel()[gaussians.places[own]]
  return out


def _blurred(x, sigma):
  """By a Gaussian whose peak is 1."""
  # Zeros beyond the border: so the blur is its own adjoint.
  blurred = cv2.GaussianBlur(x, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
  return blurred * np.float32(2 * np.pi * sigma**2)


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
  # Eight pixels a cell are enough: what is between them, cubic resizing knows, and faster.
  h, w = (min(size, 8 * cells) for size in shape)
  scale = np.array([w, h]) / cells
  # From one cell inside: the border of the coarse grid is flat.
  shift = scale * (0.5 + rng.random(2))
  matrix = np.array([[scale[0], 0, -shift[0]], [0, scale[1], -shift[1]]])
  fine = cv2.warpAffine(
    coarse, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
  )
  return 1.15 * resized(fine, shape, cubic=True)
