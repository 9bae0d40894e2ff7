"""Initialisation of the lens blur: convolutions whose outputs are blurs by discs and half discs.

A stack of small convolutions produces the photograph blurred by discs of growing radii and by half
discs. A 1x1 kernel can interpolate between two discs of neighbouring radii, and with a half disc it
blurs up to a depth edge without leaking across it.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.models import layers

# Kernel sizes of the first and of every later convolution.
SIZES = (3, 5)
# Up to this blur radius, in pixels, the upsampler blurs the sharp photograph.
SMALL = 4.0
_MIN_RADIUS = 0.4  # A smaller disc lies within one pixel.
_RIDGE = 1e-3
_SUPERSAMPLING = 16


class Shape(NamedTuple):
  """A disc of a radius in pixels, or its half towards an angle (radians, from x to y)."""

  radius: float
  angle: float | None = None


def receptive_radius(count: int) -> int:
  """Radius of the receptive field of `count` convolutions, in pixels."""
  return SIZES[0] // 2 + (count - 1) * (SIZES[1] // 2)


def shapes(widths: tuple[int, ...], largest: float) -> list[list[Shape]]:
  """The shape of each feature of a colour, by layer: widths [3 n] -> n shapes.

  Radii grow from layer to layer in proportion to the receptive field, up to `largest`. A layer with
  at least four features ends with four half discs of its largest radius, whose mean is the disc.
  """
  limits = [receptive_radius(i + 1) + 0.5 for i in range(len(widths))]
  scale = (min(largest, limits[-1]) - _MIN_RADIUS) / (limits[-1] - _MIN_RADIUS)
  result, first = [], _MIN_RADIUS
  for width, limit in zip(widths, limits, strict=True):
    last = _MIN_RADIUS + scale * (limit - _MIN_RADIUS)
    halves = 4 if width // 3 >= 4 else 0
    full = width // 3 - halves
    steps = np.arange(1, full + 1) / (full + (halves > 0))
    discs = [Shape(first + (last - first) * step) for step in steps]
    result.append(discs + [Shape(last, np.pi / 2 * i) for i in range(halves)])
    first = last
  return result


def draw(shape: Shape, radius: int) -> np.ndarray:
  """Coverage of each pixel by a centred shape: float64 [2 radius + 1, 2 radius + 1], sum 1."""
  size = 2 * radius + 1
  x = (np.arange(size * _SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - radius - 0.5
  y = x[:, None]
  inside = x**2 + y**2 <= shape.radius**2
  if shape.angle is not None:
    inside &= x * np.cos(shape.angle) + y * np.sin(shape.angle) >= 0
  coverage = inside.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING).mean(axis=(1, 3))
  return coverage / coverage.sum()


def kernel_prior(
  widths: tuple[int, ...], radius: float, defocus: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Initial kernels [b h w c] that blur by a disc, and the weight [b h w 1] of their correction.

  The weight is 0 where all pixels nearby are in focus, so that the photograph is unchanged there,
  and 1 where a pixel nearby is blurred over at least one other. `radius` is the blur radius in
  pixels of a defocus of 1.
  """
  kernels = mixture(radius * jnp.abs(defocus[..., 0]), widths, radius)
  return kernels, jnp.clip(radius * nearby_defocus(defocus, radius), 0, 1)


def prior_inputs(
  defocus: jax.Array, near: jax.Array, least: jax.Array, radius: float, scale: float = 1.0
) -> jax.Array:
  """The inputs of `upsampler_prior` from its neighbourhood: four times [b h w 1] -> [b h w 3].

  Args:
    defocus: of this level of the pyramid.
    near, least: `nearby_defocus` and `least_defocus`.
    radius: blur radius of a defocus of 1, in pixels of the lowest level.
    scale: size of this level divided by the lowest one's: blur radii double with every level.
  """
  focus = 1 - _enlarged(2 * scale * radius * least)
  return jnp.concatenate([scale * defocus, jnp.clip(scale * radius * near, 0, 1), focus], axis=-1)


def upsampler_prior(
  widths: tuple[int, ...], radius: float, inputs: jax.Array, shape: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
  """Initial mixing weights [b H W j] at `shape`, and the weights of their learned corrections.

  Small blurs are those of the sharp photograph, by the features of `widths` if there are any;
  larger ones those of the enlarged image. Maps 0 and 1 are the enlarged image and the photograph.
  Where everything nearby is blurred more, the maps of the photograph get no correction: each
  doubling would add to its sharp details. `inputs` are `prior_inputs`.
  """
  defocus, factor, focus = jnp.split(layers.resize(inputs, shape), 3, axis=-1)
  blur = 2 * radius * jnp.abs(defocus)
  if widths:
    enlarged = _enlarged(blur)
    sharp = mixture(jnp.minimum(blur, SMALL)[..., 0], widths, SMALL)
  else:
    enlarged = jnp.clip(blur - 0.5, 0, 1)
    sharp = jnp.ones_like(blur)
  factors = jnp.concatenate([factor, jnp.broadcast_to(factor * focus, sharp.shape)], axis=-1)
  return jnp.concatenate([enlarged, (1 - enlarged) * sharp], axis=-1), factors


def _enlarged(blur: jax.Array) -> jax.Array:
  """Initial weight of the enlarged image for a blur radius in pixels of the larger one."""
  return jnp.clip((blur - SMALL / 2) / (SMALL / 2), 0, 1)


def nearby_defocus(defocus: jax.Array, radius: float) -> jax.Array:
  """The largest absolute defocus within 2 `radius` pixels: [b h w 1] -> [b h w 1].

  Twice the largest blur radius, since the disparity may be wrong near its edges.
  """
  return _extreme(defocus, 2 * math.ceil(radius), jax.lax.max, 0.0)


def least_defocus(defocus: jax.Array, radius: float) -> jax.Array:
  """The smallest absolute defocus within `radius` pixels: [b h w 1] -> [b h w 1]."""
  return _extreme(defocus, math.ceil(radius), jax.lax.min, jnp.inf)


def _extreme(defocus: jax.Array, reach: int, reduce: Callable, initial: float) -> jax.Array:
  result = jax.lax.stop_gradient(jnp.abs(defocus))
  for window in ((1, 2 * reach + 1, 1, 1), (1, 1, 2 * reach + 1, 1)):
    start = jnp.asarray(initial, result.dtype)
    result = jax.lax.reduce_window(result, start, reduce, window, (1, 1, 1, 1), 'SAME')
  return result


def mixture(radius: jax.Array, widths: tuple[int, ...], largest: float) -> jax.Array:
  """Weights of the features of eq. 2 that make a disc: radius [...] in pixels -> [... c], sum 1.

  Interpolates linearly between the two full discs of the nearest radii; feature 0 is the input.
  """
  knots, table = full_discs(widths, largest)
  past = jnp.clip((radius[..., None] - knots[:-1]) / np.diff(knots), 0, 1)
  ones, zeros = jnp.ones_like(past[..., :1]), jnp.zeros_like(past[..., :1])
  weights = jnp.concatenate([ones, past], axis=-1) - jnp.concatenate([past, zeros], axis=-1)
  return weights @ table


def full_discs(widths: tuple[int, ...], largest: float) -> tuple[np.ndarray, np.ndarray]:
  """Radii [k] of the full discs, and the weights [k c] of the features that make each."""
  features = [Shape(_MIN_RADIUS)] + [shape for layer in shapes(widths, largest) for shape in layer]
  knots = sorted({shape.radius for shape in features})
  table = np.array([[shape.radius == knot for shape in features] for knot in knots], np.float32)
  return np.array(knots, np.float32), table / table.sum(axis=1, keepdims=True)


@functools.cache
def kernels(inputs: int, widths: tuple[int, ...], largest: float) -> list[np.ndarray]:
  """Kernels [k k in out] of each convolution such that its outputs are `shapes` of each colour.

  Channel i in and out belongs to colour i mod 3. Of the first layer's `inputs` channels only the
  last three have weights. Solved layer by layer by ridge regression, which keeps weights small.
  """
  result, radius = [], receptive_radius(len(widths))
  responses = np.zeros((inputs // 3, 2 * radius + 1, 2 * radius + 1))
  responses[-1, radius, radius] = 1
  for i, layer in enumerate(shapes(widths, largest)):
    size = SIZES[min(i, 1)]
    basis = _shifted(responses, size // 2).reshape(-1, (2 * radius + 1) ** 2)
    targets = np.stack([draw(shape, radius).ravel() for shape in layer])
    gram = basis @ basis.T
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, basis @ targets.T)  # [n k k, m]
    weights /= basis.sum(axis=1) @ weights
    responses = (weights.T @ basis).reshape(len(layer), *responses.shape[1:])
    # The same kernel for each of the three colours, and none across colours.
    weights = np.einsum('nyxm,cd->yxncmd', weights.reshape(-1, size, size, len(layer)), np.eye(3))
    result.append(weights.reshape(size, size, -1, 3 * len(layer)).astype(np.float32))
  return result


def _shifted(responses: np.ndarray, radius: int) -> np.ndarray:
  """Each response shifted as each tap of a kernel shifts it: [n s s] -> [n k k s s]."""
  steps = range(-radius, radius + 1)
  # Convolutions of networks are correlations: the tap at +dy reads the pixel below.
  rows = [[np.roll(responses, (-dy, -dx), axis=(1, 2)) for dx in steps] for dy in steps]
  return np.moveaxis(np.array(rows), 2, 0)
