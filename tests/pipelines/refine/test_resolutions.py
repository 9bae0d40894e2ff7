"""Resolutions of windows, by edges and by gradients."""

import numpy as np
import pytest

from depthjax import windows
from depthjax.files import depth
from depthjax.ops import gradients
from depthjax.pipelines import maps
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
    # None exceeds the mean.
    ((0,) * 10, (0.8,) * 10),
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


@pytest.mark.parametrize('alpha', [0.01, 0.05, 1e-3])
def test_windows_with_large_gradients_have_higher_resolutions(alpha):
  """Eq. 11, factor by factor; the predictor returns the photograph's first channel."""
  rng = np.random.default_rng(0)
  photo = np.repeat(refiners.smooth(200, 200), 3, axis=-1)
  photo[:100, :100] += 0.2 * rng.random((100, 100, 1), np.float32)
  disparity, seen, done = photo[..., :1], [], []

  def predictor(picture, resolution):
    seen.append((*picture.shape[:2], resolution))
    return 5 * picture[..., :1] + 3

  found = windows.grid((200, 200), 1)
  steep, expected = resolutions.slope(disparity), []
  for window in found:
    crop = depth.to_unit_range(maps.resized(disparity[window.slices], (64, 64)))
    mean, relative = (64 + window.width) / 2, steep[window.slices].mean() / steep.mean()
    wanted = mean * resolutions.slope(crop).mean() / alpha * relative
    expected.append(min(max(round(wanted / 32) * 32, 64), resolutions.LARGEST))
  got = resolutions.by_gradients(
    photo, predictor, disparity, found, 64, alpha, lambda: done.append(1)
  )
  assert got == expected and got[0] > min(got[1:])
  assert seen == [(window.height, window.width, 64) for window in found] and len(done) == 4


def test_steepness_does_not_depend_on_size_or_units():
  small, large = refiners.smooth(60, 90), refiners.smooth(600, 900)
  one, other = (resolutions.steepness(x, 48) for x in (7 * small - 2, large))
  assert one == pytest.approx(other, rel=0.03) and one > 0
  assert resolutions.steepness(np.full((60, 90, 1), 0.3), 48) == 0


@pytest.mark.parametrize(
  'network, expected',
  [
    (lambda x, _: 1e-8 * x[..., :1], refiners.smooth(20, 30)),
    (lambda x, _: 0 * x[..., :1] + 1e4 / 3, np.zeros((20, 30, 1), np.float32)),
  ],
)
def test_predictions_are_normalised(network, expected):
  picture = np.repeat(refiners.smooth(20, 30), 3, axis=-1)
  result = resolutions.predict(network, picture, 64)
  assert result.dtype == np.float32
  np.testing.assert_allclose(result, depth.to_unit_range(expected), atol=1e-6)


@pytest.mark.parametrize(
  'network, message',
  [
    (lambda x, _: x, r'the predictor returned shape \[20, 20, 3\]; it must be \[h w 1\]'),
    (lambda x, _: x[..., 0], r'the predictor returned shape \[20, 20\]'),
    (lambda x, _: x[..., :1] / np.float32(np.nan), 'the predictor returned NaN'),
  ],
)
def test_invalid_predictions_are_refused(network, message):
  with pytest.raises(ValueError, match=message):
    resolutions.predict(network, np.ones((20, 20, 3), np.float32), 64)
