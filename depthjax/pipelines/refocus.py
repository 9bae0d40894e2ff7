"""Shallow depth of field for a photograph of any size: h w its rows and columns.

`disparity` [h w 1] is min-max normalised, 1 the nearest. A pixel's circle of confusion has the
radius min(2 radius |disparity - focus|, radius): `radius`, in pixels of the photograph, is the
largest in the picture wherever the focus lies, since some pixel is always half the range away.
"""

import functools
import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.lensblur import LensBlur
from depthjax.ops import colour, lens, resize, scatter

# The networks' own resolution: an aperture of 1 blurs 1/40 of the long side, as 8 px at 320.
_LONG_SIDE = 320
_APERTURE = 40
_STEEPNESS = 2.0
_SMALLEST = 16
# A disc wider than half the long side shows no picture any more, and takes hours to draw.
_LARGEST = 1 / 4


class Learned(NamedTuple):
  """Trained lens blur: the network, its variables, and the largest radius it blurs at once.

  `radius` is in pixels of the lowest level of the pyramid (`render.radius` of the run).
  """

  model: LensBlur
  variables: dict[str, Any]
  radius: int


def load(path: str | os.PathLike) -> Learned:
  """The learned renderer of a run's folder or its weights.safetensors.

  Raises:
    files.errors.InputError: the file cannot be read or is of another task.
  """
  variables, metadata = weights.load_weights(path, 'lensblur')
  try:
    fields, radius = metadata['config']['model'], int(metadata['config']['render']['radius'])
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    model = LensBlur(**{**fields, **lists, 'radius': radius, 'dtype': jnp.dtype(fields['dtype'])})
    expected = _shapes(jax.eval_shape(functools.partial(_initial, model)))
  except (KeyError, TypeError, ValueError) as error:
    wrong = f'does not describe its network ({type(error).__name__}: {error})'
    raise InputError(path, wrong, 'weights that a training run wrote') from error
  if _shapes(variables) != expected:
    wrong = 'holds other arrays than the network that it describes'
    raise InputError(path, wrong, 'weights that a training run wrote')
  return Learned(model, variables, radius)


def radius_of(aperture: float, shape: tuple[int, int]) -> float:
  """Largest blur radius, in pixels, of an aperture in [0, 1] for a photograph of (h, w).

  Raises:
    ValueError: the aperture is not in [0, 1].
  """
  if not 0 <= aperture <= 1:
    raise ValueError(f'the aperture is {aperture:g}; it must lie in [0, 1]')
  return aperture * max(shape) / _APERTURE


def disparity_at(disparity: np.ndarray, x: int, y: int) -> float:
  """Disparity to focus on at a pixel: the median of the 5 x 5 around it.

  Raises:
    ValueError: the pixel is outside the picture.
  """
  h, w = disparity.shape[:2]
  if not (0 <= x < w and 0 <= y < h):
    raise ValueError(f'the point {x},{y} is outside the picture of {w} x {h} pixels')
  return float(np.median(disparity[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]))


def disparity_within(disparity: np.ndarray, box: tuple[int, int, int, int]) -> float:
  """Disparity to focus on: the median within a box (x0, y0, x1, y1), x1 and y1 exclusive.

  Raises:
    ValueError: the box is empty, or not within the picture.
  """
  h, w = disparity.shape[:2]
  x0, y0, x1, y1 = box
  text = ','.join(map(str, box))
  if not (x0 < x1 and y0 < y1):
    raise ValueError(f'the box {text} is empty; x0 < x1 and y0 < y1')
  if not (0 <= x0 and x1 <= w and 0 <= y0 and y1 <= h):
    raise ValueError(f'the box {text} is not within the picture of {w} x {h} pixels')
  return float(np.median(disparity[y0:y1, x0:x1]))


def refocus(
  photo: np.ndarray,
  disparity: np.ndarray,
  *,
  focus: float,
  radius: float,
  learned: Learned | None = None,
) -> np.ndarray:
  """The photograph through a lens focused at a disparity.

  Args:
    photo: sRGB in [0, 1], [h w 3].
    disparity: normalised disparity [h w 1].
    focus: disparity in focus.
    radius: largest circle of confusion, pixels of the photograph; 0 returns the photograph.
    learned: the learned renderer; without, the classical one of single images.

  Returns:
    sRGB in [0, 1], float32 [h w 3].

  Raises:
    ValueError: shapes that don't belong together; a focus or radius that is no number, a negative
      radius, or one too large for the photograph: more than a quarter of its long side, or the
      networks' lowest resolution would be smaller than 16 pixels.
  """
  if photo.shape[:2] != disparity.shape[:2] or photo.ndim != 3 or disparity.ndim != 3:
    raise ValueError(f'photo {photo.shape} and disparity {disparity.shape} differ in size')
  largest = _LARGEST * max(photo.shape[:2])
  if not 0 <= radius <= largest:
    right = f'from 0 to {largest:g}, a quarter of the long side'
    raise ValueError(f'the blur radius is {radius:g} pixels; it must be {right}')
  if not math.isfinite(focus):
    raise ValueError(f'the focus is at disparity {focus}; it must be a number')
  photo = np.asarray(photo, np.float32)
  if radius == 0:
    return photo
  defocus = lens.circle_of_confusion(
    jnp.asarray(disparity, jnp.float32), focus, strength=_STEEPNESS * radius, limit=radius
  )
  render = _classical if learned is None else functools.partial(_learned, learned)
  return np.clip(np.asarray(render(jnp.asarray(photo), defocus, radius)), 0, 1)


def focus_sweep(count: int, near: float = 1.0, far: float = 0.0) -> Iterator[float]:
  """Disparities of an animation from near to far and back, `count` frames, endless when looped."""
  for i in range(count):
    yield far + (near - far) * (0.5 + 0.5 * math.cos(2 * math.pi * i / count))


def aperture_sweep(count: int, radius: float) -> Iterator[float]:
  """Radii of an animation from closed to `radius` and back, `count` frames, endless when looped."""
  for i in range(count):
    yield radius * (0.5 - 0.5 * math.cos(2 * math.pi * i / count))


def doublings(shape: tuple[int, int], radius: float, largest: int) -> int:
  """How often the lowest level is doubled to the size of the photograph.

  It is about 320 pixels long, and small enough for the blur to be at most `largest` pixels there;
  but no doubled level started from less than 16 pixels on its short side.

  Raises:
    ValueError: the blur would need a level smaller than that.
  """
  usual = round(math.log2(max(shape) / _LONG_SIDE))
  needed = math.ceil(math.log2(radius / largest) - 1e-6)
  most = max(0, math.floor(math.log2(min(shape) / _SMALLEST)))
  if needed > most:
    raise ValueError(
      f'a blur radius of {radius:g} pixels is too large for a photograph of '
      f'{shape[1]} x {shape[0]}; at most {largest * 2**most} pixels'
    )
  return max(0, needed, min(usual, most))


def _classical(photo: jax.Array, defocus: jax.Array, radius: float) -> jax.Array:
  light = colour.srgb_to_linear(photo)
  return colour.linear_to_srgb(_scatter(light, defocus, limit=math.ceil(radius)))


_scatter = jax.jit(scatter.scatter, static_argnames='limit')


def _learned(learned: Learned, photo: jax.Array, defocus: jax.Array, radius: float) -> jax.Array:
  """Blurs the lowest level of a pyramid and doubles it, guided by each level in turn."""
  h, w = photo.shape[:2]
  count = doublings((h, w), radius, learned.radius)
  scale = 2**count
  border = ((0, -h % scale), (0, -w % scale), (0, 0))
  light = colour.srgb_to_linear(jnp.pad(photo, border, mode='edge'))
  defocus = jnp.pad(defocus, border, mode='edge') / (scale * learned.radius)

  def level(i):
    shrink = 2 ** (count - i)
    image = colour.linear_to_srgb(resize.downsample(light, shrink))
    return image[None], resize.downsample(defocus, shrink)[None]

  blur, upsample = _compiled(learned.model)
  image, signed = level(0)
  blurred = blur(learned.variables, image, signed)
  for i in range(count):
    guide, next_signed = level(i + 1)
    blurred = upsample(learned.variables, image, jnp.clip(blurred, 0, 1), signed, guide)
    image, signed = guide, next_signed
  return blurred[0, :h, :w]


def _initial(model: LensBlur) -> Any:
  """Fresh variables of the network."""
  image, defocus = jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 1))
  return model.init(jax.random.key(0), image, defocus, jnp.zeros((1, 16, 16, 3)), False)


def _shapes(tree: Any) -> Any:
  return jax.tree.map(lambda x: tuple(x.shape), tree)


@functools.cache
def _compiled(model: LensBlur):
  """The two halves of the network, compiled once for each shape."""
  return (
    jax.jit(functools.partial(model.apply, method='blur')),
    jax.jit(functools.partial(model.apply, method='upsample')),
  )
