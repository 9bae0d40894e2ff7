"""Resolutions of windows, and predictions at them."""

import numpy as np
import pytest

from depthjax.files import depth
from depthjax.ops import gradients
from depthjax.pipelines.refine import resolutions
from depthjax.windows import Window
from tests import refiners


def test_slope_equals_gradient_magnitude():
  values = np.random.default_rng(0).random((31, 18, 1), np.float32)
  expected = np.asarray(gradients.magnitude(values))[..., 0]
  np.testing.assert_allclose(resolutions.slope(values), expected, atol=1e-6)


def _steps(counts):
  """Adjacent windows of 20 x 20, with this number of steps in each."""
  found = [Window(0, 20 * i, 20, 20) for i in range(len(counts))]
  x = np.zeros((20, 20 * len(counts)), np.float32)
  for window, count in zip(found, counts, strict=True):
    for i in range(count):
      x[:, window.left + 4 + 4 * i :] += 1
  return x[..., None], found


@pytest.mark.parametrize(
  'counts, factors',
  [
    # A step has edges in two columns. 6 % of ten windows are twelve columns: six steps.
    ((0, 0, 0, 0, 1, 0, 3, 0, 2, 0), (0.8, 0.8, 0.8, 0.8, 1, 0.8, 1.2, 0.8, 1, 0.8)),
    # Two windows exceed the mean; the upper median is the larger, so none exceeds it.
    ((0, 0, 0, 0, 1, 0, 3, 0, 0, 0), (0.8, 0.8, 0.8, 0.8, 1, 0.8, 1, 0.8, 0.8, 0.8)),
    ((0,) * 10, (0.8,) * 10),  # None exceeds the mean.
  ],
)
def test_windows_with_many_edges_have_larger_factors(counts, factors):
  values, found = _steps(counts)
  assert resolutions.edge_factors(values, found) == list(factors)
  # A slope below the 6 % largest gradients does not count.
  ramp = 0.01 * np.arange(values.shape[1], dtype=np.float32)[None, :, None]
  if any(counts):
    assert resolutions.edge_factors(values + ramp, found) == list(factors)
  # The picture does not exceed its own mean.
  assert resolutions.edge_factors(values, [Window(0, 0, *values.shape[:2])]) == [0.8]


def test_resolution_is_the_mean_of_predictor_size_and_scaled_window_size():
  """floor((size f + predictor size) / 64 + 1) 32, for windows of 1067 pixels and a size of 448."""
  values, found = _steps((0, 0, 0, 0, 1, 0, 3, 0, 2, 0))
  tall = [window._replace(height=1067) for window in found]
  sizes = {f: (int(1067 * f + 448) // 64 + 1) * 32 for f in (0.8, 1, 1.2)}
  assert sizes == {0.8: 672, 1: 768, 1.2: 896}
  factors = resolutions.edge_factors(values, found)
  assert resolutions.by_edges(values, tall, 448) == [sizes[f] for f in factors]
  assert len(set(factors)) == 3
  huge = [window._replace(height=9000) for window in found]
  assert resolutions.by_edges(values, huge, 448) == [resolutions.LARGEST] * 10


@pytest.mark.parametrize('scale, offset', [(1e-8, 0), (0, 1e4 / 3)])
def test_predictions_are_normalised(scale, offset):
  picture = refiners.smooth(20, 30)
  result = resolutions.predict(lambda x, _: scale * x + offset, picture, 64)
  assert result.dtype == np.float32
  np.testing.assert_allclose(result, depth.to_unit_range(scale * picture), atol=1e-6)


@pytest.mark.parametrize(
  'shape, message',
  [((2, 3, 3), r'returned shape \[2, 3, 3\]; it must be \[h w 1\]'), ((2, 3, 1), 'returned NaN')],
)
def test_invalid_predictions_are_refused(shape, message):
  with pytest.raises(ValueError, match=message):
    resolutions.predict(lambda *_: np.full(shape, np.nan), None, 64)
