"""Aperture samples, circles of confusion, and rendering through a lens against slow twins."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from depthjax.ops import layers, lens
from depthjax.ops.colour import linear_to_srgb

H, W, PAD = 20, 24, 6
FLAT = np.float32([[0.95, 0, 0], [0.5, 0, 0], [0.1, 0, 0]])
TILTED = np.float32([[0.8, 0.2, -0.1], [0.5, 0, 0], [0.25, -0.1, 0.2]])
trace = jax.jit(lens.trace, static_argnames=('limit', 'pad', 'tilted'))


def scene(count=3, h=H, w=W, pad=PAD):
  """Layers with smooth colours and round silhouettes; the last one is opaque."""
  rng = np.random.default_rng(0)
  shape = (count, h + 2 * pad, w + 2 * pad)
  colour = scipy.ndimage.gaussian_filter(rng.random((*shape, 3)), (0, 1, 1, 0))
  soft = scipy.ndimage.gaussian_filter(rng.random(shape), (0, 2, 2))
  alpha = np.clip((soft - 0.5) * 15 + 0.5, 0, 1)
  alpha[-1] = 1
  return colour.astype(np.float32), alpha.astype(np.float32)


def traced(colour, alpha, samples, hits):
  """Mean over samples of "over"; hits(i, sample) gives the intersections (x, y) with layer i."""
  rgba = np.concatenate([colour * alpha[..., None], alpha[..., None]], -1).astype(np.float64)
  total = 0.0
  for sample in samples:
    image = 0.0
    for i in reversed(range(len(alpha))):
      column, row = hits(i, sample)
      bilinear = functools.partial(scipy.ndimage.map_coordinates, order=1, mode='nearest')
      hit = [bilinear(rgba[i, ..., c], (row + PAD, column + PAD)) for c in range(4)]
      image = np.stack(hit[:3], -1) + (1 - hit[3][..., None]) * image
    total = total + image
  return total / len(samples)


def parallel_hits(disparity, focus, strength, limit):
  """Pixels plus the blur radius of the disparity [l h w] times the sample."""
  rows, columns = np.mgrid[:H, :W].astype(np.float64)
  radius = np.clip(strength * (disparity - focus), -limit, limit)
  return lambda i, sample: (columns + radius[i] * sample[0], rows + radius[i] * sample[1])


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
  rotation, shape = 0.3, jax.jit(lens.aperture_shape)
  samples = np.asarray(shape(lens.vogel(20000), jnp.int32(blades), rotation), np.float64)
  corners, normals = (
    rotation + (np.arange(blades) + offset) * 2 * np.pi / blades for offset in (0, 0.5)
  )
  corners, normals = (np.stack([np.cos(x), np.sin(x)]) for x in (corners, normals))
  edge = np.cos(np.pi / blades)
  assert (samples @ normals).max() <= edge + 1e-6
  np.testing.assert_allclose((samples @ corners).max(axis=0), 1, atol=0.02)
  grid = np.arange(-1, 1.01, 0.1)
  counts, _, _ = np.histogram2d(*samples.T, (grid, grid))
  inside = np.all(np.stack(np.meshgrid(grid, grid, indexing='ij'), -1) @ normals < edge, -1)
  interior = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
  assert interior.sum() > 50
  expected = len(samples) * 0.1**2 / (blades / 2 * np.sin(2 * np.pi / blades))
  np.testing.assert_allclose(counts[interior], expected, rtol=0.25)
  np.testing.assert_allclose(counts[interior].mean(), expected, rtol=0.01)


def test_zero_blades_give_the_disc():
  samples = lens.vogel(33)
  np.testing.assert_array_equal(lens.aperture_shape(samples, jnp.int32(0), 0.7), samples)


def test_circle_of_confusion_is_signed_and_clipped():
  defocus = lens.circle_of_confusion(jnp.array([0.0, 0.4, 0.5, 0.7]), 0.5, strength=20, limit=6)
  np.testing.assert_allclose(defocus, [-6, -2, 0, 4], atol=1e-5)


@pytest.mark.parametrize(
  'blades, limit, tilted, raised',
  [(0, 6, (), 0), (6, 6, (), 0), (0, 2.5, (), 0), (0, 5, (0, 1, 2), 0), (0, 5, (0, 2), 4)],
)
def test_trace_equals_a_slow_twin(blades, limit, tilted, raised):
  """Of flat layers, also displaced pixel by pixel, and with relief."""
  colour, alpha = scene()
  samples = np.asarray(lens.aperture_shape(lens.vogel(17), blades, 0.2))
  # At the rim of the aperture and the limit, the last tap is at the end of the padding.
  samples = np.concatenate([samples, np.float32([[1, 0], [0, -1], [-1, 0], [0, 1]])])
  relief = scipy.ndimage.gaussian_filter(np.random.default_rng(1).random(alpha.shape), (0, 5, 5))
  relief = np.float32(raised * (relief - 0.5))
  options = {'focus': 0.45, 'strength': 12.0, 'limit': limit}
  image = trace(
    colour,
    alpha,
    FLAT,
    samples,
    **options,
    pad=PAD,
    tilted=tilted,
    relief=relief if raised else None,
  )
  relief[[i for i in range(3) if i not in tilted]] = 0
  disparity = FLAT[:, :1, None] + layers.crop(relief, PAD)
  expected = traced(colour, alpha, samples, parallel_hits(disparity, **options))
  np.testing.assert_allclose(image, expected, atol=1e-5)


def test_one_flat_layer_is_a_convolution_with_a_disc():
  radius, pad = 5.5, 7
  colour, alpha = scene(1, 30, 30, pad)
  options = {'focus': 0.45, 'strength': 2 * radius, 'limit': 7, 'pad': pad}
  image = trace(colour, alpha, FLAT[:1], lens.vogel(1024), **options)
  # Weights of the pixels: a fine grid of points of the disc, each with bilinear weights.
  fine = (np.arange(-128, 128) + 0.5) / 16
  inside = np.hypot(fine[:, None], fine) <= radius
  tent = np.maximum(1 - np.abs(fine - np.arange(-8, 9)[:, None]), 0)
  kernel = (tent @ inside @ tent.T)[..., None]
  padded = np.pad(colour[0], ((1, 1), (1, 1), (0, 0)))
  expected = scipy.signal.convolve(padded, kernel, 'valid') / kernel.sum()
  np.testing.assert_allclose(image, expected, atol=1e-3)


@pytest.mark.parametrize('layer', [1, 2])
def test_layer_in_focus_is_bit_identical(layer):
  colour, alpha = scene()
  alpha[1:] = 1
  alpha[:layer, :, W // 2 + PAD :] = 0
  options = {'focus': FLAT[layer, 0], 'strength': 10, 'limit': 6, 'pad': PAD}
  image = trace(colour, alpha, FLAT, lens.vogel(200), **options)
  clear = np.s_[:, W // 2 + 6 :]
  sharp = colour[layer, PAD:-PAD, PAD:-PAD]
  np.testing.assert_array_equal(np.asarray(image)[clear], sharp[clear])
  assert np.abs(image - sharp).max() > 0.01


def test_256_samples_are_enough():
  options = {'focus': 0.5, 'strength': 12, 'limit': 6, 'pad': 6}
  render = functools.partial(trace, *scene(3, 40, 40), FLAT, **options)
  few, many = (linear_to_srgb(render(lens.vogel(count))) for count in (256, 2048))
  assert -10 * np.log10(np.mean((few - many) ** 2)) >= 60


def plane_hits(planes, focus, strength):
  """Intersections of rays from a lens with planes in space, projected to pixels."""
  rows, columns = np.mgrid[:H, :W].astype(np.float64)
  # A camera of 100 pixels focal length: strength in pixels is 100 times the lens radius.
  x, y = (columns + 0.5 - W / 2) / 100, (rows + 0.5 - H / 2) / 100
  aperture, distance = strength / 100, 1 / focus

  def hits(i, sample):
    # z = a X + b Y + c has the disparity (1 - a x - b y) / c at the direction (x, y).
    c = 1 / planes[i, 0]
    a, b = -planes[i, 1] * 100 / W * c, -planes[i, 2] * 100 / H * c
    u, v = aperture * sample
    t = (a * u + b * v + c) / (distance - a * (distance * x - u) - b * (distance * y - v))
    X, Y, Z = u + t * (distance * x - u), v + t * (distance * y - v), t * distance
    return 100 * X / Z + W / 2 - 0.5, 100 * Y / Z + H / 2 - 0.5

  return hits


def test_tilted_layers_equal_ray_plane_intersections():
  colour, alpha = scene()
  samples, options = lens.vogel(19), {'focus': 0.5, 'strength': 10.0}
  image = trace(colour, alpha, TILTED, samples, **options, limit=6, pad=PAD, tilted=(0, 2))
  expected = traced(colour, alpha, samples, plane_hits(TILTED, **options))
  np.testing.assert_allclose(image, expected, atol=2e-5)


def test_blur_of_a_tilted_layer_is_clipped():
  planes, sample = np.float32([[0.6, 0.5, -0.3]]), np.float32([0.6, -0.7])
  options = {'strength': 20.0, 'limit': 4.0}
  # The colours are coordinates, so the image shows the intersection of every ray.
  y, x = np.mgrid[-PAD : H + PAD, -PAD : W + PAD].astype(np.float32)
  colour, alpha = np.stack([x, y, 0 * x], axis=-1)[None], np.ones((1, *x.shape), np.float32)
  image = trace(colour, alpha, planes, sample[None], focus=0.5, **options, pad=PAD, tilted=(0,))
  column, row = image[..., 0], image[..., 1]
  x, y = (column + 0.5) / W - 0.5, (row + 0.5) / H - 0.5
  disparity = planes[0, 0] + planes[0, 1] * x + planes[0, 2] * y
  radius = lens.circle_of_confusion(disparity, 0.5, **options)
  assert np.any(radius == 4) and np.any(radius == -4) and np.any(np.abs(radius) < 4)
  np.testing.assert_allclose(column, np.arange(W) + radius * sample[0], atol=1e-4)
  np.testing.assert_allclose(row, np.arange(H)[:, None] + radius * sample[1], atol=1e-4)


@pytest.mark.parametrize('tilted', [(), (0, 1, 2)])
def test_trace_is_the_mean_of_views(tilted):
  colour, alpha = scene()
  options = {'focus': 0.5, 'strength': 10, 'limit': 6, 'pad': PAD, 'tilted': tilted}
  samples, defocus = lens.vogel(5), TILTED - np.float32([0.5, 0, 0])
  view = jax.jit(functools.partial(layers.view, pad=PAD, tilted=tilted))
  expected = np.mean([view(colour, alpha, defocus, -10 * sample)[0] for sample in samples], axis=0)
  np.testing.assert_allclose(trace(colour, alpha, TILTED, samples, **options), expected, atol=1e-5)


@pytest.mark.parametrize('tilted', [(), (0, 2)])
@pytest.mark.parametrize('raised', [False, True])
def test_a_tpu_renders_without_gathers(tilted, raised):
  batch = jax.tree.map(lambda x: np.stack([x, x]), (*scene(), FLAT))

  def render(example):
    relief = jnp.zeros_like(example[1]) if raised else None
    options = {'focus': 0.5, 'strength': 12, 'limit': 6, 'pad': PAD, 'tilted': tilted}
    image = lens.trace(*example, lens.vogel(8), relief=relief, **options)
    shift = jnp.array([3.0, 0.0])
    return image, layers.view(*example, shift, PAD, tilted=tilted, relief=relief)

  traced = jax.jit(functools.partial(jax.lax.map, render)).trace(batch)
  programs = {x: traced.lower(lowering_platforms=(x,)).as_text() for x in ('tpu', 'cpu')}
  gathers = {platform: text.count('stablehlo.gather') for platform, text in programs.items()}
  assert gathers['tpu'] == 0 and (gathers['cpu'] > 0) == bool(tilted)


def test_memory_does_not_grow_with_samples():
  colour, alpha = scene(3, 64, 64, 8)
  options = {'focus': 0.5, 'strength': 12, 'limit': 8, 'pad': 8}
  compiled = trace.lower(colour, alpha, FLAT, lens.vogel(256), **options).compile()
  assert compiled.memory_analysis().temp_size_in_bytes <= 4 * 4 * alpha.size * 4


def test_padding_below_the_limit_is_an_error():
  with pytest.raises(ValueError, match='pad is 6 px; it must be at least'):
    trace(*scene(), FLAT, lens.vogel(4), focus=0.5, strength=12, limit=6.5, pad=6)
