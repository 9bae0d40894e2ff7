"""Layered scenes against slow NumPy and SciPy twins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax.ops import colour as colours
from depthjax.ops import layers

view = jax.jit(layers.view, static_argnames=('pad', 'tilted'))


def scene(count=3, h=14, w=18, pad=4, seed=0):
  """Random layers with soft and hard alphas; the last one is opaque."""
  rng = np.random.default_rng(seed)
  colour = rng.random((count, h + 2 * pad, w + 2 * pad, 3)).astype(np.float32)
  alpha = np.clip(rng.random(colour.shape[:3]) * 3 - 1, 0, 1).astype(np.float32)
  alpha[-1] = 1
  return colour, alpha


def over(colour, alpha):
  image = 0.0
  for light, cover in zip(colour[::-1], alpha[::-1], strict=True):
    image = light * cover[..., None] + (1 - cover[..., None]) * image
  return image


def test_unpack_gives_linear_light_and_straight_alpha():
  packed = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 4), np.uint8)
  colour, alpha = layers.unpack(packed)
  expected = colours.srgb_to_linear(packed[..., :3].astype(np.float32) / 255)
  np.testing.assert_allclose(colour, expected, atol=1e-6)
  np.testing.assert_array_equal(alpha, packed[..., 3].astype(np.float32) / np.float32(255))
  assert alpha[packed[..., 3] == 255].min(initial=1) == 1


@pytest.mark.parametrize('pad', [0, 3])
def test_plane_disparity_with_padding_and_relief(pad):
  planes = np.float32([[0.8, 0, 0], [0.3, 0.2, -0.1]])
  h, w = 6, 10
  disparity = np.asarray(layers.plane_disparity(planes, h, w, pad))
  assert disparity.shape == (2, h + 2 * pad, w + 2 * pad)
  for row in range(-pad, h + pad):
    for column in range(-pad, w + pad):
      x, y = (column + 0.5) / w - 0.5, (row + 0.5) / h - 0.5
      expected = planes @ np.float32([1, x, y])
      np.testing.assert_allclose(disparity[:, row + pad, column + pad], expected, atol=1e-6)
  np.testing.assert_allclose(
    layers.crop(disparity, pad), layers.plane_disparity(planes, h, w), atol=1e-6
  )
  relief = np.random.default_rng(0).random((2, h + 8, w + 8), np.float32)
  raised = layers.plane_disparity(planes, h, w, pad, relief)
  np.testing.assert_allclose(raised, disparity + layers.crop(relief, 4 - pad), atol=1e-6)


def test_composite_equals_over_from_back_to_front():
  colour, alpha = scene()
  np.testing.assert_allclose(layers.composite(colour, alpha), over(colour, alpha), atol=1e-6)


def test_visibility_sums_to_one_and_gives_the_composite():
  colour, alpha = scene()
  weights = np.asarray(layers.visibility(alpha))
  np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-6)
  np.testing.assert_allclose(
    (weights[..., None] * colour).sum(axis=0), over(colour, alpha), atol=1e-6
  )


def test_front_disparity_is_that_of_the_nearest_covering_layer():
  disparity = layers.plane_disparity(np.float32([[0.9, 0, 0], [0.5, 0.1, 0], [0.1, 0, 0]]), 14, 18)
  silhouettes = np.random.default_rng(0).random((3, 14, 18)) > 0.5
  silhouettes[-1] = True
  front = layers.front_disparity(disparity, silhouettes.astype(np.float32))
  first = silhouettes.argmax(axis=0)
  expected = np.take_along_axis(np.asarray(disparity), first[None], axis=0)[0]
  np.testing.assert_allclose(front[..., 0], expected, atol=1e-6)


def shifted(planar, shift, pad):
  """Layer [h w c] shifted bilinearly by (x, y), without padding."""
  moved = scipy.ndimage.shift(planar, (shift[1], shift[0], 0), order=1, mode='nearest')
  return moved[pad : planar.shape[0] - pad, pad : planar.shape[1] - pad]


@pytest.mark.parametrize('offset', [(0, 0), (1.3, -2.6), (4, -4), (-4, 4)])
def test_translated_and_displaced_equal_scipy_shift(offset):
  colour, _ = scene()
  planar = np.moveaxis(colour, -1, 1)
  expected = np.moveaxis(shifted(colour[1], -np.float32(offset), 4), -1, 0)
  translated = layers.translated(planar, 1, np.float32(offset), 4)
  np.testing.assert_allclose(translated, expected, atol=1e-5)
  ones = np.ones((14, 18), np.float32)
  displaced = layers.displaced(planar, 1, ones, np.float32(offset), 4)
  np.testing.assert_allclose(displaced, expected, atol=1e-5)


@pytest.mark.parametrize('direction', [(3.0, -4.0), (-4.0, 3.0), (5.0, 0.0), (0.0, -5.0), (0, 0)])
def test_displaced_equals_bilinear_sampling_in_every_tile(direction):
  h, w, pad = 70, 150, 6
  rng = np.random.default_rng(0)
  planar = rng.random((2, 3, h + 2 * pad, w + 2 * pad), np.float32)
  amount = scipy.ndimage.gaussian_filter(rng.uniform(-1, 1, (h, w)), 6).astype(np.float32)
  amount /= np.abs(amount).max()
  direction = np.float32(direction)
  offset = amount * direction[:, None, None] + pad
  position = [np.arange(h)[:, None] + offset[1], np.arange(w) + offset[0]]
  expected = [scipy.ndimage.map_coordinates(channel, position, order=1) for channel in planar[1]]
  displaced = jax.jit(layers.displaced, static_argnums=4)(planar, 1, amount, direction, pad)
  np.testing.assert_allclose(displaced, expected, atol=1e-5)


def test_offsets_are_clipped_to_the_padding():
  planar = np.moveaxis(scene()[0], -1, 1)
  held = layers.translated(planar, 0, np.float32([4, -4]), 4)
  beyond = layers.translated(planar, 0, np.float32([9.3, -7.6]), 4)
  np.testing.assert_allclose(beyond, held, atol=1e-6)


@pytest.mark.parametrize('tilted', [None, ()])
def test_view_shifts_layers_by_their_disparity(tilted):
  pad, shift = 4, np.float32([3.7, -2.2])
  colour, alpha = scene(count=2, pad=pad)
  planes = np.float32([[0.9, 0, 0], [0.2, 0, 0]])
  image, disparity = view(colour, alpha, planes, shift, pad=pad, tilted=tilted)
  expected, seen = 0.0, 0.0
  for i in (1, 0):
    light = shifted(colour[i] * alpha[i, ..., None], planes[i, 0] * shift, pad)
    cover = shifted(alpha[i, ..., None], planes[i, 0] * shift, pad)
    expected = light + (1 - cover) * expected
    seen = planes[i, 0] * cover + (1 - cover) * seen
  np.testing.assert_allclose(image, expected, atol=1e-5)
  np.testing.assert_allclose(disparity, seen, atol=1e-5)


def test_view_of_a_tilted_plane_displaces_each_point_by_its_own_disparity():
  h, w, pad = 20, 24, 6
  planes, shift = np.float32([[0.5, 0.4, -0.3]]), np.float32([5.0, -3.0])
  # The colours are coordinates, so the image shows the source position of every pixel.
  y, x = np.mgrid[-pad : h + pad, -pad : w + pad].astype(np.float32)
  colour = np.stack([x, y, np.zeros_like(x)], axis=-1)[None]
  image, disparity = view(colour, np.ones((1, *x.shape), np.float32), planes, shift, pad=pad)
  column, row = image[..., 0], image[..., 1]
  expected = planes[0, 0] + planes[0, 1] * ((column + 0.5) / w - 0.5)
  expected = expected + planes[0, 2] * ((row + 0.5) / h - 0.5)
  np.testing.assert_allclose(disparity[..., 0], expected, atol=1e-5)
  y, x = np.mgrid[:h, :w]
  np.testing.assert_allclose(column + shift[0] * expected, x, atol=1e-4)
  np.testing.assert_allclose(row + shift[1] * expected, y, atol=1e-4)


@pytest.mark.parametrize('shift', [(14.0, 0.0), (-12.0, 7.0)])
def test_view_of_relief_displaces_each_point_by_its_own_disparity(shift):
  h, w, pad = 40, 48, 16
  y, x = np.mgrid[-pad : h + pad, -pad : w + pad].astype(np.float32)
  planes, shift = np.float32([[0.5, 0.1, -0.1]]), np.float32(shift)
  relief = np.float32(0.15 * np.sin(x / 9) * np.cos(y / 11))[None]
  colour = np.stack([x, y, np.zeros_like(x)], axis=-1)[None]
  image, seen = view(
    colour, np.ones((1, *x.shape), np.float32), planes, shift, pad=pad, relief=relief
  )
  # The colours are coordinates, so the image shows the source position of every pixel.
  column, row = np.asarray(image)[..., 0], np.asarray(image)[..., 1]
  total = layers.plane_disparity(planes, h, w, pad, relief)[0]
  position = (row + pad, column + pad)
  disparity = scipy.ndimage.map_coordinates(np.asarray(total), position, order=1)
  y, x = np.mgrid[:h, :w]
  np.testing.assert_allclose(column + shift[0] * disparity, x, atol=0.05)
  np.testing.assert_allclose(row + shift[1] * disparity, y, atol=0.05)
  np.testing.assert_allclose(seen[..., 0], disparity, atol=0.05 / np.abs(shift).max())
  assert np.ptp(seen) > 0.2


def test_view_without_shift_is_the_composite():
  colour, alpha = scene()
  planes = np.float32([[0.9, 0, 0], [0.5, 0.1, 0.1], [0.1, 0, 0]])
  image, disparity = view(colour, alpha, planes, jnp.zeros(2), pad=4)
  colour, alpha = layers.crop(colour, 4), layers.crop(alpha, 4)
  np.testing.assert_allclose(image, layers.composite(colour, alpha), atol=1e-6)
  expected = layers.front_disparity(layers.plane_disparity(planes, 14, 18), alpha)
  np.testing.assert_allclose(disparity, expected, atol=1e-6)
