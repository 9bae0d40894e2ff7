"""Maps of any range and size: normalising, resizing, and the polarity of pairs."""

import numpy as np
import pytest
from scipy import stats

from depthjax.pipelines import maps
from tests import refiners


def _noise(h, w):
  return np.random.default_rng(0).random((h, w, 1), np.float32)


@pytest.mark.parametrize('offset, span', [(0, 1), (-3, 2), (1e5, 0.5), (0, 1e-30)])
def test_normalised_maps_are_restored(offset, span):
  values = offset + span * _noise(9, 7).astype(np.float64)
  unit = maps.normalise(values, 'low')
  assert unit.values.min() == 0 and unit.values.max() == 1
  np.testing.assert_allclose(unit.values, (values - values.min()) / np.ptp(values), atol=1e-6)
  np.testing.assert_allclose(unit.restored(unit.values), values, rtol=1e-7, atol=1e-6 * span)


@pytest.mark.parametrize(
  'values, message',
  [
    (np.zeros((5, 6)), r'the low map has the shape \[5, 6\]; it must be \[h w 1\]'),
    (np.zeros((5, 6, 3)), r'the low map has the shape \[5, 6, 3\]'),
    (np.zeros((1, 6, 1)), 'the low map is 6 x 1 pixels; it must have at least 2 x 2'),
    (np.full((5, 6, 1), 0.3), 'the low map is constant .0.3.; its values must vary'),
    (np.where(np.eye(5)[..., None], np.nan, 1), 'the low map has NaN or infinite values; fill'),
    (np.where(np.eye(5)[..., None], np.inf, 1), 'the low map has NaN or infinite values'),
  ],
)
def test_invalid_maps_are_refused(values, message):
  with pytest.raises(ValueError, match=message):
    maps.normalise(values, 'low')


@pytest.mark.parametrize('shape', [(16, 16), (5, 70), (70, 5), (33, 41), (1, 1)])
def test_resizing_preserves_smooth_maps(shape):
  """Also where one axis shrinks and the other grows."""
  result = maps.resized(refiners.smooth(33, 41), shape)
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, refiners.smooth(*shape), atol=0.01)


def test_shrinking_is_the_mean_over_areas():
  values = _noise(40, 60)
  expected = values.reshape(10, 4, 12, 5, 1).mean(axis=(1, 3))
  np.testing.assert_allclose(maps.resized(values, (10, 12)), expected, atol=1e-6)


def test_rank_correlation_distinguishes_disparity_from_depth():
  disparity = 0.02 + refiners.smooth(50, 70)
  depth = 1 / disparity
  assert maps.correlation(disparity, maps.resized(disparity, (31, 43))) > 0.99
  assert maps.correlation(disparity, maps.resized(depth, (231, 343))) < -0.99
  assert abs(maps.correlation(_noise(200, 200), refiners.smooth(200, 200))) < 0.1
  # Ties have their mean rank.
  ties = np.round(4 * _noise(50, 60) ** 3), np.round(3 * _noise(60, 50).reshape(50, 60, 1))
  expected = stats.spearmanr(*(x.ravel() for x in ties)).statistic
  assert maps.correlation(*ties) == pytest.approx(expected)


def test_pairs_must_agree_in_aspect_ratio_and_polarity():
  low, high = refiners.smooth(50, 70), refiners.smooth(500, 706)
  maps.check_pair(low, high)
  with pytest.raises(ValueError, match='low map: is 70 x 50 pixels but the high map is 730 x 500'):
    maps.check_pair(low, refiners.smooth(500, 730))
  with pytest.raises(ValueError, match='opposite polarity .rank correlation -1.00.; read one of'):
    maps.check_pair(low, 1 - high)
