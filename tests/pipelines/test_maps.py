"""Maps of any range and size: their units, how they are resized, and which belong together."""

import numpy as np
import pytest

from depthjax.pipelines import maps
from tests import refiners


def _noise(h, w):
  return np.random.default_rng(0).random((h, w, 1), np.float32)


@pytest.mark.parametrize('offset, span', [(0, 1), (-3, 2), (1e5, 0.5), (0, 1e-30)])
def test_units_come_back(offset, span):
  values = offset + span * _noise(9, 7).astype(np.float64)
  unit = maps.unit(values, 'low')
  assert unit.values.min() == 0 and unit.values.max() == 1
  np.testing.assert_allclose(unit.values, (values - values.min()) / np.ptp(values), atol=1e-6)
  np.testing.assert_allclose(unit.restored(unit.values), values, rtol=1e-7, atol=1e-6 * span)


@pytest.mark.parametrize(
  'values, message',
  [
    (np.zeros((5, 6)), r'the low map has the shape \[5, 6\]; it must be \[h w 1\]'),
    (np.zeros((5, 6, 3)), r'the low map has the shape \[5, 6, 3\]'),
    (np.zeros((1, 6, 1)), 'the low map is 6 x 1 pixels; both sides must have at least 2'),
    (np.zeros((300, 1, 1)), 'the low map is 1 x 300 pixels'),
    (np.full((5, 6, 1), 0.3), 'the low map is constant .0.3 everywhere.'),
    (np.where(np.eye(5)[..., None], np.nan, 1), 'the low map holds NaN or infinite values'),
    (np.where(np.eye(5)[..., None], np.inf, 1), 'the low map holds NaN or infinite values'),
  ],
)
def test_what_is_no_map_is_refused(values, message):
  with pytest.raises(ValueError, match=message):
    maps.unit(values, 'low')


@pytest.mark.parametrize('shape', [(16, 16), (5, 70), (70, 5), (33, 41), (1, 1)])
def test_resizing_keeps_what_is_smooth(shape):
  """Along each axis by itself: also where one shrinks and the other grows."""
  values = refiners.smooth(33, 41)
  result = maps.resized(values, shape)
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, refiners.smooth(*shape), atol=0.01)


def test_shrinking_is_the_mean_over_areas_and_nearest_is_not():
  values = _noise(40, 60)
  expected = values.reshape(10, 4, 12, 5, 1).mean(axis=(1, 3))
  np.testing.assert_allclose(maps.resized(values, (10, 12)), expected, atol=1e-6)
  found = maps.nearest(values, (10, 12))
  assert np.isin(found, values).all() and found.shape == (10, 12, 1)


def test_correlation_tells_disparity_from_depth():
  disparity = 0.02 + refiners.smooth(50, 70)
  depth = 1 / disparity
  assert maps.correlation(disparity, maps.resized(disparity, (31, 43))) > 0.99
  assert maps.correlation(disparity, maps.resized(depth, (231, 343))) < -0.99
  assert abs(maps.correlation(_noise(200, 200), refiners.smooth(200, 200))) < 0.1


def test_equal_values_share_their_rank():
  """Plateaus at the same places must not make opposed maps agree, by the order of their pixels."""
  steps = np.repeat(np.float32([0, 1, 2, 3]), 8)[None, :, None] * np.ones((32, 1, 1), np.float32)
  assert maps.correlation(steps, -steps) == pytest.approx(-1)


def test_maps_of_one_picture_belong_together():
  low, high = refiners.smooth(50, 70), refiners.smooth(500, 706)
  maps.check_pair(low, high)
  with pytest.raises(ValueError, match='70 x 50 pixels and the high map 730 x 500; .* within 2 %'):
    maps.check_pair(low, refiners.smooth(500, 730))
  with pytest.raises(ValueError, match='run against each other .rank correlation -1.00.; near'):
    maps.check_pair(low, 1 - high)
