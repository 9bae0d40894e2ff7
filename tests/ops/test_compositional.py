"""The compositional renderer: exact on a plane, occlusion, and gradients."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage

from depthjax.ops import compositional

_SIZE = 24
_IMAGE, _TARGET = np.random.default_rng(0).random((2, _SIZE, _SIZE, 3), np.float32)
_blur = functools.partial(compositional.composite_blur, limit=4, levels=5)
_render = jax.jit(_blur)


@pytest.mark.parametrize('level', [0.0, 0.25, 0.5, 1.0])
def test_a_plane_on_a_level_is_convolved_with_its_disc(level):
  disparity = np.full((_SIZE, _SIZE, 1), level, np.float32)
  result = _render(_IMAGE, disparity, focus=0.5, strength=6.0)
  kernel = np.asarray(compositional.disc(6 * abs(level - 0.5), 4))
  expected = [scipy.ndimage.correlate(_IMAGE[..., c], kernel, mode='nearest') for c in range(3)]
  np.testing.assert_allclose(result, np.stack(expected, -1), atol=1e-5)
  if level == 0.5:
    np.testing.assert_allclose(result, _IMAGE, atol=1e-5)


def test_constant_image_is_unchanged_at_any_depth():
  disparity = np.random.default_rng(0).random((_SIZE, _SIZE, 1), np.float32)
  image = np.broadcast_to(np.float32([0.2, 0.5, 0.9]), (_SIZE, _SIZE, 3))
  result = _render(image, disparity, focus=0.3, strength=8.0)
  np.testing.assert_allclose(result, image, atol=1e-5)


def test_near_half_occludes_the_far_half():
  """A near half in focus has a hard edge; a blurred one is spread over the far half."""
  near = np.float32(np.arange(_SIZE) < 12)[None, :, None]
  disparity, image = (np.broadcast_to(near, (_SIZE, _SIZE, c)) for c in (1, 3))
  sharp, soft = (
    np.asarray(_render(image, disparity, focus=focus, strength=4.0))[12, :, 0]
    for focus in (1.0, 0.0)
  )
  np.testing.assert_allclose(sharp[:12], 1, atol=1e-4)
  assert 0.05 < soft[14] < 0.9 and soft[20] < 1e-4


def test_gradient_of_the_disparity_equals_finite_differences():
  noise = np.random.default_rng(2).random((_SIZE, _SIZE, 1))
  disparity = np.float32(scipy.ndimage.gaussian_filter(noise, (2, 2, 0)))
  direction = np.random.default_rng(3).normal(size=disparity.shape).astype(np.float32)

  def loss(step):
    blurred = _blur(_IMAGE, disparity + step * direction, focus=0.3, strength=8.0)
    return ((blurred - _TARGET) ** 2).sum()

  slope = jax.jit(jax.grad(loss))(0.0)
  finite = (jax.jit(loss)(1e-4) - jax.jit(loss)(-1e-4)) / 2e-4
  assert abs(slope) > 1e-2
  np.testing.assert_allclose(slope, finite, rtol=0.1)


@pytest.mark.parametrize('radius', [0.0, 0.3, 1.0, 3.7])
def test_disc_sums_to_one_and_has_its_radius(radius):
  disc = np.asarray(compositional.disc(radius, 4))
  np.testing.assert_allclose(disc.sum(), 1, rtol=1e-6)
  assert np.hypot(*(np.argwhere(disc) - 4).T).max() <= radius + 0.5


def test_one_level_is_an_error():
  with pytest.raises(ValueError, match='levels is 1; it must be at least 2'):
    _blur(_IMAGE, np.zeros((_SIZE, _SIZE, 1)), focus=0, strength=1, levels=1)
