"""The convolutions that the features of the lens blur start as: discs, and nothing but discs."""

import numpy as np
import pytest
import scipy.ndimage

from depthjax.models.deeplens import discs

_RELEASE = (30, 30, 15, 15)


def _features(kernels, image):
  """Outputs of the convolutions in turn on an image [s s c], by SciPy: list of [s s c']."""
  result = []
  for kernel in kernels:
    image = np.stack(
      [
        sum(
          scipy.ndimage.correlate(image[..., i], kernel[:, :, i, o].astype(np.float64))
          for i in range(kernel.shape[2])
        )
        for o in range(kernel.shape[3])
      ],
      axis=-1,
    )
    result.append(image)
  return result


@pytest.mark.parametrize(
  ('widths', 'largest'), [(_RELEASE, 8), (_RELEASE, 4), ((18, 18, 12, 12), 4), ((12, 12), 4)]
)
def test_every_feature_is_its_shape_in_its_own_colour(widths, largest):
  spot = np.zeros((23, 23, 3))
  spot[11, 11] = 1, 0, 0
  maps = _features(discs.kernels(3, widths, largest), spot)
  for layer, shapes in zip(maps, discs.shapes(widths, largest), strict=True):
    for i, shape in enumerate(shapes):
      red, green, blue = np.moveaxis(layer[..., 3 * i : 3 * i + 3], -1, 0)
      expected = discs.draw(shape, 11)
      assert np.linalg.norm(red - expected) < 0.1 * np.linalg.norm(expected)
      np.testing.assert_allclose(red.sum(), 1, atol=1e-5)
      assert not green.any() and not blue.any()


def test_only_the_last_three_channels_of_several_pictures_are_read():
  rng = np.random.default_rng(0)
  kernels = discs.kernels(6, (6, 3), 3.5)
  image = rng.random((9, 9, 6))
  maps = _features(kernels, image)
  image[..., :3] = rng.random((9, 9, 3))
  for before, after in zip(maps, _features(kernels, image), strict=True):
    np.testing.assert_array_equal(before, after)
  assert kernels[0].shape == (3, 3, 6, 6) and kernels[1].shape == (5, 5, 6, 3)


@pytest.mark.parametrize('largest', [2, 4, 8, 100])
def test_radii_rise_to_the_largest_and_stay_within_reach(largest):
  layers = discs.shapes(_RELEASE, largest)
  assert [len(layer) for layer in layers] == [10, 10, 5, 5]
  whole = [shape.radius for layer in layers for shape in layer if shape.angle is None]
  assert len(whole) == 14 and whole[0] > 0.4 and np.all(np.diff(whole) > 0)
  np.testing.assert_allclose(layers[-1][-1].radius, min(largest, 7.5))
  ends = [layer[-1].radius for layer in layers]
  assert all(end <= discs.reach(i + 1) + 0.5 + 1e-9 for i, end in enumerate(ends))


@pytest.mark.parametrize('count', [1, 2, 3, 4, 7])
def test_half_discs_of_a_layer_add_up_to_the_whole(count):
  (layer,) = discs.shapes((3 * count,), 1.5)
  halves = [shape for shape in layer if shape.angle is not None]
  assert len(layer) == count and len(halves) == (4 if count > 3 else 0)
  if halves:
    together = np.mean([discs.draw(shape, 2) for shape in halves], axis=0)
    np.testing.assert_allclose(together, discs.draw(discs.Shape(1.5), 2), atol=0.02)


@pytest.mark.parametrize('radius', [0.4, 1.0, 2.7, 6.0])
def test_a_disc_has_its_area_and_its_second_moment(radius):
  """The mean of x² over a disc is r²/4, and a pixel's own square adds 1/12."""
  share = discs.draw(discs.Shape(radius), 8)
  np.testing.assert_allclose(share.sum(), 1)
  x = np.arange(-8, 9)
  spread = (share.sum(axis=0) * x**2).sum()
  if radius > 2:
    np.testing.assert_allclose(spread, radius**2 / 4 + 1 / 12, rtol=0.02)
  np.testing.assert_allclose(share, share.T, atol=1e-12)
  np.testing.assert_allclose(share, share[::-1], atol=1e-12)
  assert share[8, 8] == share.max() and (radius > 0.5 or share[8, 8] == 1)


def test_a_half_disc_lies_towards_its_angle():
  """Its centre is 4 r / 3 pi from the middle; angles run from x towards y."""
  y, x = np.mgrid[-8:9, -8:9]
  for angle, direction in ((0, (1, 0)), (np.pi / 2, (0, 1)), (np.pi, (-1, 0))):
    share = discs.draw(discs.Shape(6.0, angle), 8)
    centre = (share * x).sum(), (share * y).sum()
    np.testing.assert_allclose(centre, 6 * 4 / (3 * np.pi) * np.array(direction), atol=0.02)


def test_mixtures_are_the_discs_asked_for():
  """Mixed features spread a spot over the disc, also between the radii that features have."""
  spot = np.zeros((23, 23, 3))
  spot[11, 11] = 1
  maps = _features(discs.kernels(3, _RELEASE, 8), spot)
  features = np.concatenate([spot, *maps], axis=-1).reshape(23, 23, -1, 3)[..., 0]
  for radius in (0.0, 0.3, 1.0, 2.2, 3.6, 6.1, 7.5, 8.0):
    weights = np.asarray(discs.mixture(np.float32(radius), _RELEASE, 8))
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
    assert weights.min() >= 0
    expected = discs.draw(discs.Shape(min(max(radius, 0.4), 7.5)), 11)
    assert np.linalg.norm(features @ weights - expected) < 0.12 * np.linalg.norm(expected)


def test_within_reach_is_all_that_a_blur_may_touch():
  defocus = np.zeros((1, 30, 30, 1), np.float32)
  defocus[0, 15, 10] = -0.5
  near = np.asarray(discs.within_reach(defocus, 4))[0, ..., 0]
  assert near.shape == (30, 30) and set(np.unique(near)) == {0.0, 1.0}
  rows, columns = np.nonzero(near)
  assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 23, 2, 18)
  np.testing.assert_array_equal(0.5 * near, discs.nearby(defocus, 4)[0, ..., 0])
  faint = discs.within_reach(defocus / 10, 4)
  np.testing.assert_allclose(faint.max(), 0.2, rtol=1e-5)


@pytest.mark.parametrize('widths', [(12, 12), ()])
def test_the_upsampler_starts_from_the_sharp_picture_to_the_enlarged_one(widths):
  defocus = np.broadcast_to(np.linspace(0, 1, 8, dtype=np.float32)[:, None], (1, 8, 8, 1))
  weights, _ = discs.upsampler_start(widths, 4, discs.place(defocus, defocus, 4), (16, 16))
  assert weights.shape == (1, 16, 16, 2 + sum(widths) // 3)
  np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
  columns = np.asarray(weights)[0, 4]
  np.testing.assert_allclose(columns[0, :2], [0, 1], atol=1e-5)
  np.testing.assert_allclose(columns[-1, :2], [1, 0], atol=1e-5)
  assert np.all(np.diff(columns[:, 0]) >= 0)
