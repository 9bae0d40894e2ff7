"""The compositional renderer: exact on a plane, occlusion, and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax.ops import compositional

_SIZE = 24


def _image(seed=0):
  return np.random.default_rng(seed).random((_SIZE, _SIZE, 3), np.float32)


@functools.cache
def _render(limit=4, levels=5):
  return jax.jit(functools.partial(compositional.composite_blur, limit=limit, levels=levels))


@pytest.mark.parametrize('level', [0.0, 0.25, 1.0])
def test_a_plane_on_a_level_is_convolved_with_its_disc(level):
  image, disparity = _image(), np.full((_SIZE, _SIZE, 1), level, np.float32)
  result = _render()(image, disparity, focus=0.5, strength=6.0)
  kernel = np.asarray(compositional.disc(6 * abs(level - 0.5), 4))
  expected = [scipy.ndimage.correlate(image[..., c], kernel, mode='nearest') for c in range(3)]
  np.testing.assert_allclose(result, np.stack(expected, -1), atol=1e-5)


def test_plane_in_focus_is_unchanged():
  image, disparity = _image(), np.full((_SIZE, _SIZE, 1), 0.75, np.float32)
  result = _render()(image, disparity, focus=0.75, strength=9.0)
  np.testing.assert_allclose(result, image, atol=1e-5)
  closed = _render()(image, np.random.default_rng(1).random((_SIZE, _SIZE, 1)), focus=0, strength=0)
  np.testing.assert_allclose(closed, image, atol=1e-5)


def test_constant_image_is_unchanged_at_any_depth():
  disparity = np.random.default_rng(0).random((_SIZE, _SIZE, 1), np.float32)
  image = np.broadcast_to(np.float32([0.2, 0.5, 0.9]), (_SIZE, _SIZE, 3))
  result = _render()(image, disparity, focus=0.3, strength=8.0)
  np.testing.assert_allclose(result, image, atol=1e-5)


def test_near_half_occludes_the_far_half():
  """A near half in focus has a hard edge; a blurred one is spread over the far half."""
  image = np.zeros((_SIZE, _SIZE, 3), np.float32)
  image[:, :12] = 1
  disparity = np.where(np.arange(_SIZE) < 12, 1, 0).astype(np.float32)[None, :, None]
  disparity = np.broadcast_to(disparity, (_SIZE, _SIZE, 1))
  sharp = np.asarray(_render()(image, disparity, focus=1.0, strength=4.0))[12, :, 0]
  np.testing.assert_allclose(sharp[:12], 1, atol=1e-4)
  soft = np.asarray(_render()(image, disparity, focus=0.0, strength=4.0))[12, :, 0]
  assert 0.05 < soft[14] < 0.9 and soft[20] < 1e-4


def test_gradient_of_the_disparity_equals_finite_differences():
  image = _image()
  smooth = scipy.ndimage.gaussian_filter(np.random.default_rng(2).random((_SIZE, _SIZE)), 2)
  disparity = jnp.float32(smooth[..., None])
  direction = np.random.default_rng(3).normal(size=disparity.shape).astype(np.float32)
  target = _image(1)

  def loss(step):
    blurred = compositional.composite_blur(
      image, disparity + step * direction, focus=0.3, strength=8.0, limit=4, levels=5
    )
    return ((blurred - target) ** 2).sum()

  slope = jax.jit(jax.grad(loss))(0.0)
  finite = (jax.jit(loss)(1e-4) - jax.jit(loss)(-1e-4)) / 2e-4
  assert abs(slope) > 1e-2
  np.testing.assert_allclose(slope, finite, rtol=0.1)


@pytest.mark.parametrize('radius', [0.0, 0.3, 1.0, 3.7])
def test_disc_sums_to_one_and_has_its_radius(radius):
  disc = np.asarray(compositional.disc(radius, 4))
  np.testing.assert_allclose(disc.sum(), 1, rtol=1e-6)
  rows, columns = np.nonzero(disc)
  assert np.hypot(rows - 4, columns - 4).max() <= radius + 0.5


def test_one_level_is_an_error():
  with pytest.raises(ValueError, match='levels is 1; it must be at least 2'):
    _render(levels=1)(_image(), np.zeros((_SIZE, _SIZE, 1)), focus=0, strength=1)
