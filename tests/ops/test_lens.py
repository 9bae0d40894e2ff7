"""Aperture samples, circles of confusion, and rendering through a lens against slow twins."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from depthjax.ops import layers, lens
from depthjax.ops.colour import linear_to_srgb, srgb_to_linear
from tests.programs import primitives

trace = jax.jit(lens.trace, static_argnames=('limit', 'pad', 'tilted'))
view = jax.jit(layers.view, static_argnames=('pad', 'tilted'))


def scene(planes, h=20, w=24, pad=6, seed=0):
  """Layers with smooth colours and round silhouettes; the last one is opaque."""
  rng = np.random.default_rng(seed)
  shape = (len(planes), h + 2 * pad, w + 2 * pad)
  colour = scipy.ndimage.gaussian_filter(rng.random((*shape, 3)), (0, 1, 1, 0))
  soft = scipy.ndimage.gaussian_filter(rng.random(shape), (0, 2, 2))
  alpha = np.clip((soft - 0.5) * 15 + 0.5, 0, 1)
  alpha[-1] = 1
  return colour.astype(np.float32), alpha.astype(np.float32), np.float32(planes)


def sampled(image, column, row):
  """Bilinear samples [h w c] of an image [h w c] at pixel positions."""
  channels = [
    scipy.ndimage.map_coordinates(channel, (row, column), order=1, mode='nearest')
    for channel in np.moveaxis(image.astype(np.float64), -1, 0)
  ]
  return np.stack(channels, axis=-1)


def traced(colour, alpha, samples, hits, pad):
  """Mean over samples of "over"; hits(i, sample) gives the intersections with layer i."""
  total = 0.0
  for sample in samples:
    image, through = 0.0, 1.0
    for i in range(len(alpha)):
      column, row = hits(i, sample)
      cover = sampled(alpha[i, ..., None], column + pad, row + pad)
      light = sampled(colour[i] * alpha[i, ..., None], column + pad, row + pad)
      image, through = image + through * light, through * (1 - cover)
    total = total + image
  return total / len(samples)


def flat_hits(planes, focus, strength, limit, h, w):
  rows, columns = np.mgrid[:h, :w].astype(np.float64)

  def hits(i, sample):
    radius = np.clip(strength * (planes[i, 0] - focus), -limit, limit)
    return columns + radius * sample[0], rows + radius * sample[1]

  return hits


def test_vogel_samples_cover_the_disc_evenly():
  for count in (1, 2, 7, 64, 256):
    samples = lens.vogel(count).astype(np.float64)
    assert samples.shape == (count, 2) and np.linalg.norm(samples, axis=1).max() <= 1 + 1e-6
    np.testing.assert_allclose(samples.mean(axis=0), 0, atol=1e-6)
  np.testing.assert_allclose(samples.T @ samples / 256, np.eye(2) / 4, atol=0.005)
  cells, _ = np.histogram(np.linalg.norm(lens.vogel(4000), axis=1) ** 2, 20, (0, 1))
  np.testing.assert_allclose(cells, 200, rtol=0.05)


@pytest.mark.parametrize('blades', [3, 5, 6, 9])
def test_polygon_samples_are_inside_and_uniform(blades):
  rotation = 0.3
  shape = jax.jit(lens.aperture_shape)
  samples = np.asarray(shape(lens.vogel(20000), jnp.int32(blades), rotation), np.float64)
  normals = rotation + (np.arange(blades) + 0.5) * 2 * np.pi / blades
  depth = samples @ np.stack([np.cos(normals), np.sin(normals)])
  edge = np.cos(np.pi / blades)
  assert depth.max() <= edge + 1e-6
  corners = rotation + np.arange(blades) * 2 * np.pi / blades
  extent = (samples @ np.stack([np.cos(corners), np.sin(corners)])).max(axis=0)
  np.testing.assert_allclose(extent, 1, atol=0.02)
  area = blades / 2 * np.sin(2 * np.pi / blades)
  cell, grid = 0.1, np.arange(-1, 1.01, 0.1)
  counts, _, _ = np.histogram2d(*samples.T, (grid, grid))
  x, y = np.meshgrid(grid, grid, indexing='ij')
  inside = np.all(np.stack([x, y], -1) @ np.stack([np.cos(normals), np.sin(normals)]) < edge, -1)
  interior = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
  assert interior.sum() > 50
  np.testing.assert_allclose(counts[interior], len(samples) * cell**2 / area, rtol=0.25)
  np.testing.assert_allclose(counts[interior].mean(), len(samples) * cell**2 / area, rtol=0.01)


def test_zero_blades_give_the_disc():
  samples = lens.vogel(33)
  np.testing.assert_array_equal(lens.aperture_shape(samples, jnp.int32(0), 0.7), samples)


def test_circle_of_confusion_is_signed_and_clipped():
  defocus = lens.circle_of_confusion(jnp.array([0.0, 0.4, 0.5, 0.7]), 0.5, strength=20, limit=6)
  np.testing.assert_allclose(defocus, [-6, -2, 0, 4], atol=1e-5)


@pytest.mark.parametrize('distance', [0.9, 1.7, 2.5, 30.0])
def test_strength_equals_rays_traced_through_a_thin_lens(distance):
  focal_length, f_number, focus_distance, pitch = 0.05, 1.8, 2.0, 6e-6
  heights = np.linspace(-0.5, 0.5, 101) * focal_length / f_number
  # A thin lens changes the slope of a ray by its height divided by the focal length.
  slopes = heights / distance - heights / focal_length
  sensor = 1 / (1 / focal_length - 1 / focus_distance)
  radius = np.abs(heights + slopes * sensor).max() / pitch
  strength = lens.thin_lens_strength(focal_length, f_number, focus_distance, pitch)
  np.testing.assert_allclose(strength * abs(1 / distance - 1 / focus_distance), radius, rtol=1e-3)


@pytest.mark.parametrize('blades, limit', [(0, 6), (6, 6), (0, 2.5)])
def test_trace_equals_a_slow_twin(blades, limit):
  h, w, pad, focus, strength = 20, 24, 6, 0.45, 12.0
  colour, alpha, planes = scene([[0.95, 0, 0], [0.5, 0, 0], [0.1, 0, 0]])
  samples = np.asarray(lens.aperture_shape(lens.vogel(17), blades, 0.2))
  # At the rim of the aperture and the limit, the last tap is at the end of the padding.
  samples = np.concatenate([samples, np.float32([[1, 0], [0, -1], [-1, 0], [0, 1]])])
  image = trace(
    colour, alpha, planes, samples, focus=focus, strength=strength, limit=limit, pad=pad
  )
  expected = traced(colour, alpha, samples, flat_hits(planes, focus, strength, limit, h, w), pad)
  np.testing.assert_allclose(image, expected, atol=1e-5)


def test_one_flat_layer_is_a_convolution_with_a_disc():
  radius, pad = 5.5, 7
  colour, alpha, planes = scene([[0.9, 0, 0]], 30, 30, pad)
  image = trace(
    colour, alpha, planes, lens.vogel(1024), focus=0.4, strength=2 * radius, limit=7, pad=pad
  )
  # Weights of the pixels: a fine grid of points of the disc, each with bilinear weights.
  fine = (np.arange(-128, 128) + 0.5) / 16
  inside = np.hypot(fine[:, None], fine) <= radius
  tent = np.maximum(1 - np.abs(fine - np.arange(-8, 9)[:, None]), 0)
  kernel = tent @ inside @ tent.T
  expected = scipy.signal.convolve(
    np.pad(colour[0], ((1, 1), (1, 1), (0, 0))), kernel[..., None], 'valid'
  )
  np.testing.assert_allclose(image, expected / kernel.sum(), atol=1e-3)


def test_white_scene_gives_a_white_image():
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0.1, 0.1], [0.1, 0, 0]])
  image = trace(
    np.ones_like(colour), alpha, planes, lens.vogel(64),
    focus=0.3, strength=10, limit=6, pad=6, tilted=(1,),
  )  # fmt: skip
  np.testing.assert_allclose(image, 1, atol=1e-5)


@pytest.mark.parametrize('layer', [1, 2])
def test_layer_in_focus_is_bit_identical(layer):
  h, w, pad = 20, 24, 6
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0, 0], [0.1, 0, 0]])
  alpha[1:] = 1
  alpha[:layer, :, w // 2 + pad :] = 0
  image = trace(
    colour, alpha, planes, lens.vogel(200), focus=planes[layer, 0], strength=10, limit=6, pad=pad
  )
  clear = np.s_[:, w // 2 + 6 :]
  sharp = colour[layer, pad : pad + h, pad : pad + w]
  np.testing.assert_array_equal(np.asarray(image)[clear], sharp[clear])
  assert np.abs(image - sharp).max() > 0.01


def test_256_samples_are_enough():
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0, 0], [0.1, 0, 0]], 40, 40, 6)
  render = functools.partial(trace, colour, alpha, planes, focus=0.5, strength=12, limit=6, pad=6)
  few, many = (linear_to_srgb(render(lens.vogel(count))) for count in (256, 2048))
  assert -10 * np.log10(np.mean((few - many) ** 2)) >= 60


def test_tilted_layer_without_slope_equals_a_flat_one():
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0, 0], [0.1, 0, 0]])
  render = functools.partial(
    trace, colour, alpha, planes, lens.vogel(32), focus=0.45, strength=12, limit=5, pad=6
  )
  np.testing.assert_allclose(render(tilted=(0, 1, 2)), render(), atol=1e-5)


def plane_hits(planes, focus, strength, h, w):
  """Intersections of rays from a lens with planes in space, projected to pixels."""
  rows, columns = np.mgrid[:h, :w].astype(np.float64)
  # A camera of 100 pixels focal length: strength in pixels is 100 times the lens radius.
  x, y = (columns + 0.5 - w / 2) / 100, (rows + 0.5 - h / 2) / 100
  aperture, distance = strength / 100, 1 / focus

  def hits(i, sample):
    # z = a X + b Y + c has the disparity (1 - a x - b y) / c at the direction (x, y).
    c = 1 / planes[i, 0]
    a, b = -planes[i, 1] * 100 / w * c, -planes[i, 2] * 100 / h * c
    u, v = aperture * sample
    t = (a * u + b * v + c) / (distance - a * (distance * x - u) - b * (distance * y - v))
    X, Y, Z = u + t * (distance * x - u), v + t * (distance * y - v), t * distance
    return 100 * X / Z + w / 2 - 0.5, 100 * Y / Z + h / 2 - 0.5

  return hits


def test_tilted_layers_equal_ray_plane_intersections():
  h, w, pad, focus, strength = 20, 24, 6, 0.5, 10.0
  colour, alpha, planes = scene([[0.8, 0.2, -0.1], [0.5, 0, 0], [0.25, -0.1, 0.2]])
  samples = lens.vogel(19)
  image = trace(
    colour, alpha, planes, samples,
    focus=focus, strength=strength, limit=6, pad=pad, tilted=(0, 2),
  )  # fmt: skip
  expected = traced(colour, alpha, samples, plane_hits(planes, focus, strength, h, w), pad)
  np.testing.assert_allclose(image, expected, atol=2e-5)


def test_trace_with_relief_equals_a_slow_twin():
  h, w, pad, focus, strength, limit = 20, 24, 6, 0.5, 10.0, 5.0
  colour, alpha, planes = scene([[0.8, 0, 0], [0.5, 0, 0], [0.25, 0, 0]])
  relief = scipy.ndimage.gaussian_filter(np.random.default_rng(1).random(alpha.shape), (0, 5, 5))
  relief = np.float32(4 * (relief - 0.5))
  samples = lens.vogel(19)
  rows, columns = np.mgrid[:h, :w].astype(np.float64)

  def hits(i, sample):
    disparity = planes[i, 0] + (i != 1) * relief[i, pad:-pad, pad:-pad]
    radius = np.clip(strength * (disparity - focus), -limit, limit)
    return columns + radius * sample[0], rows + radius * sample[1]

  image = trace(
    colour, alpha, planes, samples, relief=relief,
    focus=focus, strength=strength, limit=limit, pad=pad, tilted=(0, 2),
  )  # fmt: skip
  np.testing.assert_allclose(image, traced(colour, alpha, samples, hits, pad), atol=1e-5)


def test_blur_of_a_tilted_layer_is_clipped():
  h, w, pad, focus, strength, limit = 20, 24, 6, 0.5, 20.0, 4.0
  planes, sample = np.float32([[0.6, 0.5, -0.3]]), np.float32([0.6, -0.7])
  # The colours are coordinates, so the image shows the intersection of every ray.
  y, x = np.mgrid[-pad : h + pad, -pad : w + pad].astype(np.float32)
  colour = np.stack([x, y, np.zeros_like(x)], axis=-1)[None]
  image = trace(
    colour, np.ones((1, *x.shape), np.float32), planes, sample[None],
    focus=focus, strength=strength, limit=limit, pad=pad, tilted=(0,),
  )  # fmt: skip
  column, row = image[..., 0], image[..., 1]
  disparity = planes[0, 0] + planes[0, 1] * ((column + 0.5) / w - 0.5)
  disparity = disparity + planes[0, 2] * ((row + 0.5) / h - 0.5)
  radius = lens.circle_of_confusion(disparity, focus, strength=strength, limit=limit)
  assert np.any(radius == limit) and np.any(radius == -limit) and np.any(np.abs(radius) < limit)
  np.testing.assert_allclose(column, np.arange(w) + radius * sample[0], atol=1e-4)
  np.testing.assert_allclose(row, np.arange(h)[:, None] + radius * sample[1], atol=1e-4)


@pytest.mark.parametrize('tilted', [(), (0, 1, 2)])
def test_trace_is_the_mean_of_views(tilted):
  colour, alpha, planes = scene([[0.8, 0.2, -0.1], [0.5, 0, 0], [0.25, -0.1, 0.2]])
  options = {'focus': 0.5, 'strength': 10, 'limit': 6, 'pad': 6, 'tilted': tilted}
  samples = lens.vogel(5)
  defocus = planes - np.float32([0.5, 0, 0])
  views = [view(colour, alpha, defocus, -10 * sample, pad=6, tilted=tilted) for sample in samples]
  expected = np.mean([image for image, _ in views], axis=0)
  np.testing.assert_allclose(trace(colour, alpha, planes, samples, **options), expected, atol=1e-5)


def test_highlights_are_larger_in_linear_light():
  encoded = np.full((1, 31, 31, 3), 0.05, np.float32)
  encoded[:, 15, 15] = 1
  render = functools.partial(
    trace, alpha=np.ones((1, 31, 31), np.float32), planes=np.float32([[0.9, 0, 0]]),
    samples=lens.vogel(256), focus=0.5, strength=10, limit=4, pad=5,
  )  # fmt: skip
  linear = linear_to_srgb(render(np.asarray(srgb_to_linear(encoded))))
  naive = render(encoded)
  assert (linear > 0.12).sum() > 30 and (naive > 0.12).sum() == 0
  assert linear.mean() > naive.mean()


def test_trace_has_no_gather():
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0, 0], [0.1, 0, 0]])
  samples = lens.vogel(8)

  def render(tilted, examples):
    options = {'focus': 0.5, 'strength': 12, 'limit': 6, 'pad': 6, 'tilted': tilted}
    return jax.lax.map(lambda example: lens.trace(*example, samples, **options), examples)

  batch = jax.tree.map(lambda x: np.stack([x, x]), (colour, alpha, planes))
  for tilted in ((), (0, 2)):
    assert primitives(functools.partial(render, tilted), batch)['gather'] == 0


def test_memory_does_not_grow_with_samples():
  colour, alpha, planes = scene([[0.9, 0, 0], [0.5, 0, 0], [0.1, 0, 0]], 64, 64, 8)
  compiled = trace.lower(
    colour, alpha, planes, lens.vogel(256), focus=0.5, strength=12, limit=8, pad=8
  ).compile()
  assert compiled.memory_analysis().temp_size_in_bytes <= 4 * 4 * alpha.size * 4


def test_padding_below_the_limit_is_an_error():
  colour, alpha, planes = scene([[0.9, 0, 0]])
  with pytest.raises(ValueError, match='pad is 6 px; it must be at least'):
    trace(colour, alpha, planes, lens.vogel(4), focus=0.5, strength=12, limit=6.5, pad=6)
