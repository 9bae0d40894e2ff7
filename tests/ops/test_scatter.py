"""The classical renderer against a twin that scatters pixel by pixel, and invariants."""

import functools

import jax
import numpy as np
import pytest

from depthjax.ops.scatter import scatter
from depthjax.plan import costs, program
from tests.programs import primitives

blur = jax.jit(scatter, static_argnames='limit')


def noise(*shape, seed=0):
  return np.random.default_rng(seed).random(shape).astype(np.float32)


def scattered(image, defocus, limit):
  h, w, _ = image.shape
  total, weight = np.zeros(image.shape), np.zeros((h, w, 1))
  rows, columns = np.mgrid[:h, :w]
  for row, column in np.ndindex(h, w):
    radius = min(abs(defocus[row, column, 0]), limit)
    fraction = np.clip(radius + 0.5 - np.hypot(rows - row, columns - column), 0, 1)[..., None]
    fraction /= max(np.pi * (radius**2 + 1 / 12), radius + 0.5)
    total += fraction * image[row, column]
    weight += fraction
  return total / weight


def test_any_defocus_equals_scattering_pixel_by_pixel():
  image, defocus = noise(13, 15, 3), noise(13, 15, 1, seed=1) * 10 - 5
  expected = scattered(image, defocus, 3)
  np.testing.assert_allclose(blur(image, defocus, limit=3), expected, atol=1e-5)


@pytest.mark.parametrize('radius', [2.5, 4.0])
def test_impulse_is_spread_over_a_disc_of_the_radius(radius):
  image = np.zeros((21, 21, 3), np.float32)
  image[10, 10] = 1
  spread = np.asarray(blur(image, np.full((21, 21, 1), -radius, np.float32), limit=4))[..., 0]
  rows, columns = np.mgrid[-10:11, -10:11]
  # A uniform disc has a mean square distance of r^2 / 2; its rim of one pixel adds 1/6.
  moment = (spread * (rows**2 + columns**2)).sum() / spread.sum()
  np.testing.assert_allclose(moment, radius**2 / 2 + 1 / 6, rtol=0.03)
  assert np.all(spread[np.hypot(rows, columns) > radius + 0.5] == 0)


def test_radius_below_half_a_pixel_keeps_the_image():
  image = noise(12, 14, 3)
  np.testing.assert_array_equal(blur(image, np.zeros((12, 14, 1), np.float32), limit=3), image)
  small = noise(12, 14, 1, seed=1) - 0.5
  np.testing.assert_allclose(blur(image, small, limit=3), image, atol=1e-6)


def test_batches_agree_and_need_no_gather():
  images, defocus = noise(2, 10, 11, 3), noise(2, 10, 11, 1, seed=1) * 4
  render = functools.partial(scatter, limit=3)
  mapped = jax.jit(jax.vmap(render))
  expected = np.stack([blur(*example, limit=3) for example in zip(images, defocus, strict=True)])
  np.testing.assert_allclose(mapped(images, defocus), expected, atol=1e-6)
  np.testing.assert_allclose(blur(images, defocus, limit=3), expected, atol=1e-6)
  compiled = mapped.lower(images, defocus).compile().as_text()
  assert not costs.costs(program.parse(compiled), 1).gather_elements
  assert not primitives(render, images, defocus)['gather']
