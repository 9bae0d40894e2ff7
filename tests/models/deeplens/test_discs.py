"""The initialisation of the lens blur: convolutions whose outputs are discs and half discs."""

import jax
import numpy as np
import pytest
import scipy.ndimage

from depthjax.models.deeplens import discs

_RELEASE = (30, 30, 15, 15)
_SPOT = np.pad(np.ones((1, 1, 3)), ((11, 11), (11, 11), (0, 0)))


def _features(kernels, image):
  """Outputs of the convolutions applied in turn to an image [s s c], by SciPy: [s s c'] each."""
  correlate, result = scipy.ndimage.correlate, []
  for kernel in kernels:
    taps = np.moveaxis(kernel.astype(np.float64), (2, 3), (1, 0))  # [out in k k]
    channels = np.moveaxis(image, -1, 0)
    maps = [sum(map(correlate, channels, output)) for output in taps]
    image = np.stack(maps, axis=-1)
    result.append(image)
  return result


@pytest.mark.parametrize(
  ('widths', 'largest'), [(_RELEASE, 8), (_RELEASE, 4), ((18, 18, 12, 12), 4), ((12, 12), 4)]
)
def test_each_feature_is_its_shape_in_one_colour(widths, largest):
  maps = _features(discs.kernels(3, widths, largest), _SPOT * [1, 0, 0])
  for layer, shapes in zip(maps, discs.shapes(widths, largest), strict=True):
    for i, shape in enumerate(shapes):
      red, green, blue = np.moveaxis(layer[..., 3 * i : 3 * i + 3], -1, 0)
      expected = discs.draw(shape, 11)
      assert np.linalg.norm(red - expected) < 0.1 * np.linalg.norm(expected)
      np.testing.assert_allclose(red.sum(), 1, atol=1e-5)
      assert not green.any() and not blue.any()


def test_only_the_last_three_input_channels_have_weights():
  first, second = discs.kernels(6, (6, 3), 3.5)
  assert first.shape == (3, 3, 6, 6) and second.shape == (5, 5, 6, 3)
  assert not first[:, :, :3].any() and first[:, :, 3:].any()


@pytest.mark.parametrize('largest', [2, 4, 8, 100])
def test_radii_increase_up_to_the_largest_within_the_receptive_field(largest):
  layers = discs.shapes(_RELEASE, largest)
  assert [len(layer) for layer in layers] == [10, 10, 5, 5]
  full = [shape.radius for layer in layers for shape in layer if shape.angle is None]
  assert len(full) == 14 and full[0] > 0.4 and np.all(np.diff(full) > 0)
  np.testing.assert_allclose(layers[-1][-1].radius, min(largest, 7.5))
  ends = [layer[-1].radius for layer in layers]
  assert all(end <= discs.receptive_radius(i + 1) + 0.5 + 1e-9 for i, end in enumerate(ends))


@pytest.mark.parametrize('count', [1, 3, 4, 7])
def test_a_layer_ends_with_a_disc_or_half_discs_whose_mean_is_the_disc(count):
  (layer,) = discs.shapes((3 * count,), 1.5)
  last = [shape for shape in layer if shape.radius == 1.5]
  assert len(layer) == count and len(last) == (4 if count > 3 else 1)
  together = np.mean([discs.draw(shape, 2) for shape in last], axis=0)
  np.testing.assert_allclose(together, discs.draw(discs.Shape(1.5), 2), atol=0.02)


@pytest.mark.parametrize('radius', [2.7, 6.0])
def test_a_drawn_disc_has_its_second_moment_and_symmetry(radius):
  """The mean of x² over a disc is r²/4, and over a pixel 1/12."""
  coverage = discs.draw(discs.Shape(radius), 8)
  np.testing.assert_allclose(coverage.sum(), 1)
  spread = (coverage.sum(axis=0) * np.arange(-8, 9) ** 2).sum()
  np.testing.assert_allclose(spread, radius**2 / 4 + 1 / 12, rtol=0.02)
  np.testing.assert_allclose(coverage, coverage.T, atol=1e-12)
  np.testing.assert_allclose(coverage, coverage[::-1], atol=1e-12)


def test_a_half_disc_lies_towards_its_angle():
  """Its centroid is 4 r / 3 pi from the centre; angles are from x to y."""
  y, x = np.mgrid[-8:9, -8:9]
  for angle, direction in ((0, (1, 0)), (np.pi / 2, (0, 1)), (np.pi, (-1, 0))):
    coverage = discs.draw(discs.Shape(6.0, angle), 8)
    centroid = (coverage * x).sum(), (coverage * y).sum()
    np.testing.assert_allclose(centroid, 6 * 4 / (3 * np.pi) * np.array(direction), atol=0.02)


def test_mixtures_of_features_are_discs_of_any_radius():
  maps = _features(discs.kernels(3, _RELEASE, 8), _SPOT)
  features = np.concatenate([_SPOT, *maps], axis=-1).reshape(23, 23, -1, 3)[..., 0]
  for radius in (0.0, 0.3, 1.0, 2.2, 3.6, 6.1, 7.5, 8.0):
    weights = np.asarray(discs.mixture(np.float32(radius), _RELEASE, 8))
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    assert weights.min() >= 0
    expected = discs.draw(discs.Shape(min(max(radius, 0.4), 7.5)), 11)
    assert np.linalg.norm(features @ weights - expected) < 0.12 * np.linalg.norm(expected)


def test_the_correction_is_enabled_within_twice_the_largest_radius():
  defocus = np.zeros((1, 30, 30, 1), np.float32)
  defocus[0, 15, 10] = -0.5
  factor = np.asarray(discs.kernel_prior((6,), 4, defocus)[1])[0, ..., 0]
  assert set(np.unique(factor)) == {0.0, 1.0}
  rows, columns = np.nonzero(factor)
  assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 23, 2, 18)
  np.testing.assert_array_equal(0.5 * factor, discs.nearby_defocus(defocus, 4)[0, ..., 0])
  _, weak = discs.kernel_prior((6,), 4, defocus / 10)
  np.testing.assert_allclose(weak.max(), 0.2, rtol=1e-5)


@pytest.mark.parametrize('widths', [(12, 12), ()])
def test_upsampler_weights_go_from_the_sharp_to_the_enlarged_image(widths):
  defocus = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32)[:, None], (1, 8, 8, 1))
  inputs = discs.prior_inputs(defocus, defocus, defocus, 4)
  weights, factors = discs.upsampler_prior(widths, 4, inputs, (16, 16))
  assert weights.shape == (1, 16, 16, 2 + sum(widths) // 3)
  np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
  columns = np.asarray(weights)[0, 4]
  np.testing.assert_allclose(columns[0, :2], [0, 1], atol=1e-5)
  np.testing.assert_allclose(columns[-1, :2], [1, 0], atol=1e-5)
  assert np.all(np.diff(columns[:, 0]) >= 0)
  # Only the enlarged image is corrected where everything nearby is blurred by 4 px or more.
  np.testing.assert_allclose(factors[0, 4, -1], np.eye(weights.shape[-1])[0], atol=1e-5)
  np.testing.assert_allclose(factors[0, 4, 2], np.full(weights.shape[-1], factors[0, 4, 2, 0]))


@pytest.mark.parametrize('x64', [False, True])
def test_the_least_defocus_is_that_of_a_square_window(x64):
  defocus = np.random.default_rng(0).standard_normal((7, 9))
  expected = scipy.ndimage.minimum_filter(abs(defocus), 5, mode='constant', cval=np.inf)
  with jax.enable_x64(x64):
    result = discs.least_defocus(np.float32(defocus)[None, ..., None], 1.5)
  np.testing.assert_allclose(result[0, ..., 0], expected, rtol=1e-6)
