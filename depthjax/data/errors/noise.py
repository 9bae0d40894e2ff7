"""Errors of a simulated depth predictor, given the true disparity: the operator N_d of SDDR.

A prediction is the truth plus an inconsistency of regions plus a deformation of edges (SDDR,
appendix A.4). The inconsistency is an affine map for each region between edges, in each of many
overlapping patches. The deformation is a loss of resolution, and many small Gaussians on edges. We
add a smooth error of the complete map: without it the low prediction would be better than any real
one. The paper's patches of 1/16 of the map describe real errors, but random errors drawn in them
look like mottled paper; larger patches, a third of the map or more, are better for drawing.
"""

import dataclasses

import cv2
import numpy as np

from depthjax.data.errors import components

STEP = 0.04  # Difference of neighbours that counts as an edge, as a fraction of the range.
SIGMAS = (0.6, 1.0, 1.7)  # Of the Gaussians, in pixels of the prediction.


@dataclasses.dataclass(frozen=True)
class Amplitudes:
  """Amplitudes of the errors; values are fractions of the range of a map."""

  offset: float = 0.0  # Std of the offset of a region in a patch.
  gain: float = 0.0  # Std of the gain on a region's relief; a factor.
  patch: float = 1 / 16  # Size of a patch as a fraction of the map's long side.
  smooth: float = 0.0  # Std of the smooth error.
  cells: int = 3  # Cells of the smooth error along each axis.
  edge: float = 0.0  # Std of the Gaussians on edges as a fraction of the step there.
  density: float = 0.5  # Gaussians per edge pixel.
  white: float = 0.0  # Std of white noise at the resolution of the prediction.


def simulate(
  rng: np.random.Generator,
  disparity: np.ndarray,
  *,
  resolution: tuple[int, int],
  shape: tuple[int, int] | None = None,
  amplitudes: Amplitudes = Amplitudes(),
) -> np.ndarray:
  """The prediction for an image, or for a window of one, with known disparity.

  Args:
    disparity: float32 [h w], the truth; the result has about its range.
    resolution: height and width at which the predictor works; at most those of the map are used.
    shape: height and width of the result; None is that of `disparity`.
  """
  shape = shape or disparity.shape
  out = resized(disparity, tuple(map(min, resolution, disparity.shape)))
  span = float(out.max() - out.min())
  if span > 0:
    out = out + inconsistency(rng, out, amplitudes)
    out += smooth(rng, out.shape, amplitudes.cells) * (amplitudes.smooth * span)
    if amplitudes.white:
      out += rng.standard_normal(out.shape, np.float32) * np.float32(amplitudes.white * span)
  return resized(out, shape, cubic=True)


def resized(x: np.ndarray, shape: tuple[int, int], *, cubic: bool = False) -> np.ndarray:
  """A map [h w] at another size: mean over areas if an axis shrinks, else linear or cubic."""
  if x.shape == tuple(shape):
    return x
  shrinks = shape[0] < x.shape[0] or shape[1] < x.shape[1]
  method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
  return cv2.resize(x, (shape[1], shape[0]), interpolation=method)


def steps(disparity: np.ndarray) -> np.ndarray:
  """Morphological gradient [h w]: range of the disparity over a pixel and its 4 neighbours."""
  cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
  return cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, cross)


def edges(disparity: np.ndarray, height: np.ndarray | None = None) -> np.ndarray:
  """Edges of the disparity, bool [h w]; `height` is its `steps` if already computed."""
  span = float(disparity.max() - disparity.min())
  height = steps(disparity) if height is None else height
  # In a small map every slope is steep per pixel, so the threshold is higher.
  return height > max(STEP, 4 / max(disparity.shape)) * span


def inconsistency(
  rng: np.random.Generator, disparity: np.ndarray, amplitudes: Amplitudes
) -> np.ndarray:
  """Errors of regions and of edges [h w], at the resolution of the prediction."""
  span = float(disparity.max() - disparity.min())
  height = steps(disparity)
  marked = edges(disparity, height)
  out = np.zeros_like(disparity)
  if amplitudes.offset or amplitudes.gain:
    size = max(4, 2 * round(amplitudes.patch * max(disparity.shape) / 2))
    tiling = components.patches(disparity.shape, size)
    labels, count = components.label(marked, tiling)
    centre = components.means(labels, count, disparity)
    offset, gain = rng.standard_normal((2, count), np.float32)
    gain *= amplitudes.gain
    base = offset * (amplitudes.offset * span) - gain * centre.astype(np.float32)
    errors = base[labels] + gain[labels] * disparity.ravel()
    out += components.blend(tiling, errors, marked)
  if amplitudes.edge:
    positions = np.flatnonzero(marked)
    count = int(amplitudes.density * len(positions))
    # A permutation, repeated: each edge pixel is used once before any is used twice.
    positions = np.resize(rng.permutation(positions), count)
    kinds = rng.integers(len(SIGMAS), size=count)
    # Wide Gaussians overlap more, so they are lower.
    lower = amplitudes.edge * SIGMAS[0] / np.array(SIGMAS, np.float32)[kinds]
    lower *= height.ravel()[positions]
    heights = rng.standard_normal(count, np.float32) * lower
    out += splat(positions, kinds, heights, disparity.shape)
  return out


def splat(
  positions: np.ndarray, kinds: np.ndarray, heights: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
  """Sum of n Gaussians, float32 of `shape` (h, w).

  Args:
    positions, kinds, heights: [n], flat pixel position, index into SIGMAS, and peak value of each.
  """
  out = np.zeros(shape, np.float32)
  for kind, sigma in enumerate(SIGMAS):
    chosen = kinds == kind
    dots = np.bincount(positions[chosen], heights[chosen], out.size).astype(np.float32)
    dots = dots.reshape(shape)
    blurred = cv2.GaussianBlur(dots, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    out += blurred * np.float32(2 * np.pi * sigma**2)  # Peak 1.
  return out


def with_shared_error(rng: np.random.Generator, disparity: np.ndarray, amount: float) -> np.ndarray:
  """The disparity with the error that all predictions of one image share: a curve and smooth noise.

  `amount` is the std of the error as a fraction of the range; 0 changes nothing.
  """
  low = float(disparity.min())
  span = float(disparity.max()) - low
  curve, error = rng.standard_normal(), smooth(rng, disparity.shape, 2)
  if not amount or not span:
    return disparity
  unit = (disparity - low) / span
  # The curve x (1 - x) has its maximum, 1/4, in the middle of the range.
  bent = unit + np.float32(np.clip(4 * amount * curve, -0.8, 0.8)) * unit * (1 - unit)
  return (bent + error * np.float32(amount)) * span + low


def smooth(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
  """Smooth noise with `cells` cells along each axis, float32 [h w]: mean 0, std about 1."""
  coarse = rng.standard_normal((cells + 3, cells + 3), np.float32)
  # Eight pixels per cell, then cubic resizing: as good as a warp at full size, and faster.
  h, w = (min(size, 8 * cells) for size in shape)
  scale = np.array([w, h]) / cells
  # Starts within the first cell: beyond the border of the coarse grid there is no variation.
  shift = scale * (0.5 + rng.random(2))
  matrix = np.array([[scale[0], 0, -shift[0]], [0, scale[1], -shift[1]]])
  options = {'flags': cv2.INTER_CUBIC, 'borderMode': cv2.BORDER_REFLECT_101}
  fine = cv2.warpAffine(coarse, matrix, (w, h), **options)
  return 1.15 * resized(fine, shape, cubic=True)
