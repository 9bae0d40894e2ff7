"""Where the lens blur starts: convolutions that make discs and half discs, and their mixtures.

A stack of small convolutions, the outputs of every layer kept, whose features are the photograph
blurred by whole discs of growing radii and by half discs. A 1x1 kernel that mixes neighbours in
radius is then the disc between, and one that takes a half alone blurs up to a depth edge without
leaking over it.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.models import layers

# Kernel sizes of the first and of every later convolution.
SIZES = (3, 5)
# Blurs up to this radius, in pixels, the upsampler cuts from the sharp photograph itself.
SMALL = 4.0
_SMALLEST = 0.4  # Of a smaller disc nothing leaves the pixel.
_RIDGE = 1e-3
_SUPERSAMPLED = 16


class Shape(NamedTuple):
  """A disc of a radius in pixels, or its half towards an angle (radians from x towards y)."""

  radius: float
  angle: float | None = None


def reach(count: int) -> int:
  """Pixels from the centre that `count` convolutions see."""
  return SIZES[0] // 2 + (count - 1) * (SIZES[1] // 2)


def shapes(widths: tuple[int, ...], largest: float) -> list[list[Shape]]:
  """What the features of each layer start as, a colour: widths [3 n] -> n shapes.

  Each layer continues where the one before ends, in proportion to what it can reach. At its end
  lie four half discs, which add up to the whole one, if it has room for them; whole discs before.
  """
  within = [reach(i + 1) + 0.5 for i in range(len(widths))]
  share = (min(largest, within[-1]) - _SMALLEST) / (within[-1] - _SMALLEST)
  result, start = [], _SMALLEST
  for width, end in zip(widths, within, strict=True):
    end = _SMALLEST + share * (end - _SMALLEST)
    count = width // 3
    halves = 4 if count >= 4 else 0
    whole = count - halves
    steps = np.arange(1, whole + 1) / (whole + (halves > 0))
    angles = np.pi / 2 * np.arange(halves)
    result.append(
      [Shape(start + (end - start) * step) for step in steps] + [Shape(end, a) for a in angles]
    )
    start = end
  return result


def draw(shape: Shape, border: int) -> np.ndarray:
  """Share of each pixel's square inside a shape about the middle: float64 [2b+1 2b+1], sum 1."""
  size = 2 * border + 1
  x = (np.arange(size * _SUPERSAMPLED) + 0.5) / _SUPERSAMPLED - border - 0.5
  y = x[:, None]
  inside = x**2 + y**2 <= shape.radius**2
  if shape.angle is not None:
    inside &= x * np.cos(shape.angle) + y * np.sin(shape.angle) >= 0
  share = inside.reshape(size, _SUPERSAMPLED, size, _SUPERSAMPLED).mean(axis=(1, 3))
  return share / share.sum()


def kernel_start(
  widths: tuple[int, ...], radius: float, defocus: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Kernels [b h w c] of the discs that the defocus [b h w 1] asks for, and `within_reach`.

  `radius` is the blur of a defocus of 1, in pixels.
  """
  prior = mixture(radius * jnp.abs(defocus[..., 0]), widths, radius)
  return prior, within_reach(defocus, radius)


def place(defocus: jax.Array, near: jax.Array, radius: float, scale: float = 1.0) -> jax.Array:
  """What `upsampler_start` must know of every pixel: [b h w 1], `nearby` [b h w 1] -> [b h w 2].

  `scale` is the size of this level over the lowest, which `radius` and the defocus are measured on:
  a blur has twice as many pixels after every doubling.
  """
  return jnp.concatenate([scale * defocus, jnp.clip(scale * radius * near, 0, 1)], axis=-1)


def upsampler_start(
  widths: tuple[int, ...], radius: float, place: jax.Array, shape: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
  """Weights [b H W j] of a good enlargement to `shape`, and `within_reach` there, from `place`.

  Small blurs come from the sharp photograph, by the features of `widths` if there are any, larger
  ones from the enlarged picture. Maps 0 and 1 are these two.
  """
  defocus, near = jnp.split(layers.resize(place, shape), 2, axis=-1)
  blur = 2 * radius * jnp.abs(defocus)
  if widths:
    enlarged = jnp.clip((blur - SMALL / 2) / (SMALL / 2), 0, 1)
    sharp = mixture(jnp.minimum(blur, SMALL)[..., 0], widths, SMALL)
  else:
    enlarged = jnp.clip(blur - 0.5, 0, 1)
    sharp = jnp.ones_like(blur)
  prior = jnp.concatenate([enlarged, (1 - enlarged) * sharp], axis=-1)
  return prior, near


def within_reach(defocus: jax.Array, radius: float) -> jax.Array:
  """0 where everything near is in focus, 1 where a pixel blurs over at least one other.

  Only a pixel out of focus can change what another looks like, and no farther than it spreads.
  [b h w 1] -> [b h w 1].
  """
  return jnp.clip(radius * nearby(defocus, radius), 0, 1)


def nearby(defocus: jax.Array, radius: float) -> jax.Array:
  """The largest defocus, without its sign, that is near: [b h w 1] -> [b h w 1].

  Near is twice the largest radius, since the disparity may err at its edges.
  """
  reach = 2 * math.ceil(radius)
  most = jax.lax.stop_gradient(jnp.abs(defocus))
  for window in ((1, 2 * reach + 1, 1, 1), (1, 1, 2 * reach + 1, 1)):
    most = jax.lax.reduce_window(most, 0.0, jax.lax.max, window, (1, 1, 1, 1), 'SAME')
  return most


def mixture(radius: jax.Array, widths: tuple[int, ...], largest: float) -> jax.Array:
  """How to mix the features of eq. 2 into a disc: radius [...] in pixels -> [... c], sum 1.

  The two whole discs next in radius share the weight; feature 0 is the pixel itself.
  """
  knots, table = _whole_discs(widths, largest)
  past = jnp.clip((radius[..., None] - knots[:-1]) / np.diff(knots), 0, 1)
  ones, zeros = jnp.ones_like(past[..., :1]), jnp.zeros_like(past[..., :1])
  shares = jnp.concatenate([ones, past], axis=-1) - jnp.concatenate([past, zeros], axis=-1)
  return shares @ table


def _whole_discs(widths: tuple[int, ...], largest: float) -> tuple[np.ndarray, np.ndarray]:
  """Radii [k] of the whole discs, and the features [k c] that make each: halves a quarter each."""
  every = [Shape(_SMALLEST)] + [shape for layer in shapes(widths, largest) for shape in layer]
  knots = sorted({shape.radius for shape in every})
  table = np.array([[shape.radius == knot for shape in every] for knot in knots], np.float32)
  return np.array(knots, np.float32), table / table.sum(axis=1, keepdims=True)


@functools.cache
def kernels(inputs: int, widths: tuple[int, ...], largest: float) -> list[np.ndarray]:
  """Kernels [k k in out] of each convolution, so that its outputs are `shapes` within a colour.

  Channel i in and out carries colour i mod 3; only the last three of the first layer's `inputs`
  channels are read. Least squares, layer by layer, with a ridge that keeps the weights small.
  """
  result, border = [], reach(len(widths))
  responses = np.zeros((inputs // 3, 2 * border + 1, 2 * border + 1))
  responses[-1, border, border] = 1
  for i, layer in enumerate(shapes(widths, largest)):
    size = SIZES[min(i, 1)]
    basis = _shifted(responses, size // 2).reshape(-1, (2 * border + 1) ** 2)
    targets = np.stack([draw(shape, border).ravel() for shape in layer])
    gram = basis @ basis.T
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + ridge, basis @ targets.T)  # [n k k, m]
    weights /= basis.sum(axis=1) @ weights
    responses = (weights.T @ basis).reshape(len(layer), *responses.shape[1:])
    result.append(_of_colours(weights.reshape(-1, size, size, len(layer))))
  return result


def _shifted(responses: np.ndarray, border: int) -> np.ndarray:
  """Every response moved as each tap of a kernel moves it: [n s s] -> [n k k s s]."""
  steps = range(-border, border + 1)
  return np.stack(
    [
      # A convolution of networks is a correlation: the tap at +dy reads the pixel below.
      np.stack([np.roll(responses, (-dy, -dx), axis=(1, 2)) for dx in steps], axis=1)
      for dy in steps
    ],
    axis=1,
  )


def _of_colours(weights: np.ndarray) -> np.ndarray:
  """The same kernel for three colours, none across: [n k k m] -> float32 [k k 3n 3m]."""
  weights = np.einsum('nyxm,cd->yxncmd', weights, np.eye(3))
  size, _, inputs, _, outputs, _ = weights.shape
  return weights.reshape(size, size, 3 * inputs, 3 * outputs).astype(np.float32)
