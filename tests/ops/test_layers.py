"""Layered scenes against slow NumPy and SciPy twins."""

import functools

import jax
import numpy as np
import pytest
import scipy.ndimage

from depthjax.ops import colour as colours
from depthjax.ops import layers

H, W, PAD = 14, 18, 4
view = jax.jit(layers.view, static_argnames=('pad', 'tilted'))


def scene(count=3):
  """Random layers with soft and hard alphas; the last one is opaque."""
  rng = np.random.default_rng(0)
  colour = rng.random((count, H + 2 * PAD, W + 2 * PAD, 3)).astype(np.float32)
  alpha = np.clip(rng.random(colour.shape[:3]) * 3 - 1, 0, 1).astype(np.float32)
  alpha[-1] = 1
  return colour, alpha


def test_unpack_gives_linear_light_and_straight_alpha():
  packed = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 4), np.uint8)
  colour, alpha = layers.unpack(packed)
  expected = colours.srgb_to_linear(packed[..., :3].astype(np.float32) / 255)
  np.testing.assert_allclose(colour, expected, atol=1e-6)
  np.testing.assert_array_equal(alpha, packed[..., 3].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize('pad', [0, 3])
def test_plane_disparity_with_padding_and_relief(pad):
  planes = np.float32([[0.8, 0, 0], [0.3, 0.2, -0.1]])
  h, w = 6, 10
  disparity = np.asarray(layers.plane_disparity(planes, h, w, pad))
  y, x = np.mgrid[-pad : h + pad, -pad : w + pad]
  position = np.stack([np.ones(x.shape), (x + 0.5) / w - 0.5, (y + 0.5) / h - 0.5])
  np.testing.assert_allclose(disparity, np.tensordot(planes, position, 1), atol=1e-6)
  relief = np.random.default_rng(0).random((2, h + 8, w + 8), np.float32)
  raised = layers.plane_disparity(planes, h, w, pad, relief)
  np.testing.assert_allclose(raised, disparity + layers.crop(relief, 4 - pad), atol=1e-6)


def test_composite_equals_over_from_back_to_front():
  colour, alpha = scene()
  expected = 0.0
  for light, cover in zip(colour[::-1], alpha[::-1, ..., None], strict=True):
    expected = light * cover + (1 - cover) * expected
  np.testing.assert_allclose(layers.composite(colour, alpha), expected, atol=1e-6)
  np.testing.assert_allclose(layers.visibility(alpha).sum(axis=0), 1, atol=1e-6)


def test_front_disparity_is_that_of_the_nearest_covering_layer():
  disparity = layers.plane_disparity(np.float32([[0.9, 0, 0], [0.5, 0.1, 0], [0.1, 0, 0]]), H, W)
  silhouettes = np.random.default_rng(0).random((3, H, W)) > 0.5
  silhouettes[-1] = True
  front = layers.front_disparity(disparity, silhouettes.astype(np.float32))
  first = silhouettes.argmax(axis=0)
  expected = np.take_along_axis(np.asarray(disparity), first[None], axis=0)[0]
  np.testing.assert_allclose(front[..., 0], expected, atol=1e-6)


def shifted(layer, shift):
  """Layer [h w c] shifted bilinearly by (x, y), without padding."""
  moved = scipy.ndimage.shift(layer, (shift[1], shift[0], 0), order=1, mode='nearest')
  return moved[PAD:-PAD, PAD:-PAD]


@pytest.mark.parametrize('offset', [(0, 0), (1.3, -2.6), (4, -4), (-4, 4)])
def test_translated_and_displaced_equal_scipy_shift(offset):
  colour, _ = scene()
  planar, offset = np.moveaxis(colour, -1, 1), np.float32(offset)
  expected = np.moveaxis(shifted(colour[1], -offset), -1, 0)
  np.testing.assert_allclose(layers.translated(planar, 1, offset, PAD), expected, atol=1e-5)
  for function in (layers._gathered, layers._summed):
    displaced = function(planar, np.ones((H, W), np.float32), offset, layer=1, pad=PAD)
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
  for function in (layers._gathered, layers._summed):
    sample = jax.jit(functools.partial(function, layer=1, pad=pad))
    np.testing.assert_allclose(sample(planar, amount, direction), expected, atol=1e-5)


def test_offsets_are_clipped_to_the_padding():
  planar = np.moveaxis(scene()[0], -1, 1)
  held, beyond = (
    layers.translated(planar, 0, np.float32(offset), PAD) for offset in ([4, -4], [9.3, -7.6])
  )
  np.testing.assert_allclose(beyond, held, atol=1e-6)


@pytest.mark.parametrize('tilted', [None, ()])
def test_view_shifts_layers_by_their_disparity(tilted):
  shift, planes = np.float32([3.7, -2.2]), np.float32([[0.9, 0, 0], [0.2, 0, 0]])
  colour, alpha = scene(count=2)
  image, disparity = view(colour, alpha, planes, shift, pad=PAD, tilted=tilted)
  expected, seen = 0.0, 0.0
  for i in (1, 0):
    light = shifted(colour[i] * alpha[i, ..., None], planes[i, 0] * shift)
    cover = shifted(alpha[i, ..., None], planes[i, 0] * shift)
    expected = light + (1 - cover) * expected
    seen = planes[i, 0] * cover + (1 - cover) * seen
  np.testing.assert_allclose(image, expected, atol=1e-5)
  np.testing.assert_allclose(disparity, seen, atol=1e-5)


@pytest.mark.parametrize(
  'plane, shift, amplitude, error',
  [
    ([0.5, 0.4, -0.3], [5.0, -3.0], 0, 1e-4),
    ([0.5, 0.1, -0.1], [14.0, 0.0], 0.15, 0.05),
    ([0.5, 0.1, -0.1], [-12.0, 7.0], 0.15, 0.05),
  ],
)
def test_view_displaces_each_point_by_its_own_disparity(plane, shift, amplitude, error):
  """Of a tilted plane, and of one with relief, which is found by iteration: error in pixels."""
  h, w, pad = 40, 48, 16
  y, x = np.mgrid[-pad : h + pad, -pad : w + pad].astype(np.float32)
  planes, shift, alpha = np.float32([plane]), np.float32(shift), np.ones((1, *x.shape), np.float32)
  relief = np.float32(amplitude * np.sin(x / 9) * np.cos(y / 11))[None]
  # The colours are coordinates, so the image shows the source position of every pixel.
  colour = np.stack([x, y, np.zeros_like(x)], axis=-1)[None]
  image, seen = view(colour, alpha, planes, shift, pad=pad, relief=relief if amplitude else None)
  column, row = np.asarray(image)[..., 0], np.asarray(image)[..., 1]
  total = np.asarray(layers.plane_disparity(planes, h, w, pad, relief)[0])
  disparity = scipy.ndimage.map_coordinates(total, (row + pad, column + pad), order=1)
  y, x = np.mgrid[:h, :w]
  np.testing.assert_allclose(column + shift[0] * disparity, x, atol=error)
  np.testing.assert_allclose(row + shift[1] * disparity, y, atol=error)
  np.testing.assert_allclose(seen[..., 0], disparity, atol=error / np.abs(shift).max())
  assert np.ptp(seen) > 0.2


def test_view_without_shift_is_the_composite():
  colour, alpha = scene()
  planes = np.float32([[0.9, 0, 0], [0.5, 0.1, 0.1], [0.1, 0, 0]])
  image, disparity = view(colour, alpha, planes, np.zeros(2), pad=PAD)
  colour, alpha = layers.crop(colour, PAD), layers.crop(alpha, PAD)
  np.testing.assert_allclose(image, layers.composite(colour, alpha), atol=1e-6)
  expected = layers.front_disparity(layers.plane_disparity(planes, H, W), alpha)
  np.testing.assert_allclose(disparity, expected, atol=1e-6)
