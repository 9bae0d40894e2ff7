"""Glass and mirrors in hand-made scenes of constant disparities."""

import functools

import jax
import numpy as np

from depthjax.ops import materials
from depthjax.ops.materials import GLASS, MIRROR, OPAQUE

SIZE = 40
DISPARITY = (0.8, 0.6, 0.3)
# Squares: the near one to the right of column 15, the other one to the left of column 25.
INNER, OUTER = slice(10, 30), slice(18, 22)


@functools.cache
def _render():
  return jax.jit(jax.vmap(materials.render, (None, None, None, 0, 0)))


def _scene(ramp=0.0):
  board = np.indices((SIZE, SIZE)).sum(0) // 5 % 2
  colour = np.stack([np.full((SIZE, SIZE, 3), x) for x in (0.0, 1.0, 0.0)])
  colour[2] = 0.1 + 0.5 * board[..., None]
  alpha = np.zeros((3, SIZE, SIZE))
  alpha[0, 5:35, 15:35] = alpha[1, 5:35, 5:25] = alpha[2] = 1
  disparity = np.ones((3, SIZE, SIZE)) * np.reshape(DISPARITY, (3, 1, 1))
  disparity[2] += ramp * np.linspace(-0.5, 0.5, SIZE)
  return [np.float32(x) for x in (colour, alpha, disparity)]


def _rendered(kinds, seeds, ramp=0.0):
  """Images [8 h w 3] and naive disparities [8 h w] for each of eight seeds."""
  keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
  material = np.tile(np.array([*kinds, OPAQUE]), (len(seeds), 1))
  image, naive = jax.device_get(_render()(*_scene(ramp), material, keys))
  return image, naive[..., 0]


def test_naive_disparity_is_that_of_what_is_behind_glass():
  # An opaque layer behind glass hides the background, glass behind glass does not.
  for behind, expected in ((OPAQUE, 0.6), (GLASS, 0.3)):
    _, naive = _rendered((GLASS, behind), range(8))
    np.testing.assert_allclose(naive[:, INNER, OUTER], expected, atol=1e-5)
    np.testing.assert_allclose(naive[:, INNER, 31:], 0.3, atol=1e-5)
    np.testing.assert_allclose(naive[:, :5], 0.3, atol=1e-6)


def test_naive_disparity_of_a_mirror_is_that_of_the_virtual_image():
  _, naive = _rendered((GLASS, MIRROR), range(8))
  virtual = 0.6 * 0.3 / (0.6 + 0.3)  # 1 / d = 1 / 0.6 + 1 / 0.3.
  np.testing.assert_allclose(naive[:, INNER, 9:21], virtual, atol=1e-5)
  np.testing.assert_allclose(naive[:, INNER, :5], 0.3, atol=1e-6)
  # Wide frames, which are opaque, have a pixel here: they have the disparity of the mirror.
  rim = naive[:, INNER, 5]
  np.testing.assert_allclose(rim, np.where(rim > 0.4, 0.6, virtual), atol=1e-5)
  assert 0 < (rim > 0.4).mean() < 1


def test_a_mirror_shows_the_scene_flipped():
  _, naive = _rendered((MIRROR, GLASS), range(8), ramp=0.4)
  slope = np.diff(naive[:, 20, 20:30], axis=1).mean(axis=1)
  assert (slope < -1e-4).mean() > 0.5 and np.ptp(slope[slope < 0]) > 1e-4


def test_glass_lets_light_through_and_bends_it():
  image, naive = _rendered((GLASS, GLASS), range(8), ramp=0.4)
  plain, flat = _rendered((OPAQUE, OPAQUE), range(8), ramp=0.4)
  background = np.array(_scene()[0][2, INNER, 26:34])
  fits = [np.corrcoef(x[INNER, 26:34].ravel(), background.ravel())[0, 1] for x in image]
  assert np.median(fits) > 0.3 and np.ptp(fits) > 0.1
  np.testing.assert_array_equal(plain[:, INNER, 26:34], 0)
  for x in naive:  # Shifted by up to a few pixels.
    difference = np.abs(x[INNER, 26:34] - _scene(0.4)[2][2, INNER, 26:34])
    assert 1e-4 < difference.max() < 0.1
  np.testing.assert_allclose(flat[:, INNER, 26:34], 0.8, atol=1e-6)


def test_looks_depend_on_the_key_only():
  kinds = (GLASS, MIRROR)
  batch, other = (_rendered(kinds, seeds)[0] for seeds in (range(8), range(7, -1, -1)))
  np.testing.assert_allclose(batch, other[::-1], atol=1e-6)
  assert np.abs(batch[0] - batch[1]).mean() > 0.01 and np.isfinite(batch).all()
