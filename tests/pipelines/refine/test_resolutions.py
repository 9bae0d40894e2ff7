"""How finely a predictor looks at windows: by edges and by gradients."""

import numpy as np
import pytest

from depthjax import windows
from depthjax.ops import gradients
from depthjax.pipelines import maps
from depthjax.pipelines.refine import resolutions
from depthjax.windows import Window
from tests import refiners


def test_the_slope_is_that_of_the_ops():
  values = np.random.default_rng(0).random((31, 18, 1), np.float32)
  expected = np.asarray(gradients.magnitude(values))[..., 0]
  np.testing.assert_allclose(resolutions.slope(values), expected, atol=1e-6)


def _steps(counts):
  """Windows of 20 x 20 beside each other, with so many columns of steps in each."""
  found = [Window(0, 20 * i, 20, 20) for i in range(len(counts))]
  x = np.zeros((20, 20 * len(counts)), np.float32)
  for window, count in zip(found, counts, strict=True):
    for i in range(count):
      x[:, window.left + 4 + 4 * i :] += 1
  return x[..., None], found


@pytest.mark.parametrize(
  'counts, factors',
  [
    # A step is an edge of two columns. Of ten windows 6 % are twelve columns: six steps.
    ((0, 0, 0, 0, 1, 0, 3, 0, 2, 0), (0.8, 0.8, 0.8, 0.8, 1, 0.8, 1.2, 0.8, 1, 0.8)),
    # With two above the mean the upper median is the larger: none has more.
    ((0, 0, 0, 0, 1, 0, 3, 0, 0, 0), (0.8, 0.8, 0.8, 0.8, 1, 0.8, 1, 0.8, 0.8, 0.8)),
    # None above the mean.
    ((0,) * 10, (0.8,) * 10),
  ],
)
def test_windows_with_many_edges_get_finer_resolutions(counts, factors):
  values, found = _steps(counts)
  assert resolutions.edge_factors(values, found) == list(factors)


def test_a_window_like_the_picture_has_no_more_edges_than_it():
  values, _ = _steps((0, 0, 0, 0, 1, 0, 3, 0, 2, 0))
  assert resolutions.edge_factors(values, [Window(0, 0, *values.shape[:2])]) == [0.8]


def test_resolutions_are_between_the_trained_one_and_the_windows():
  """floor((size f + side) / 64 + 1) 32, for windows of 1067 pixels and a side of 448."""
  values, _ = _steps((0, 0, 0, 0, 1, 0, 3, 0, 2, 0))
  found = [Window(0, 0, 20, 20)._replace(left=20 * i, width=20) for i in range(10)]
  wide = [window._replace(height=1067) for window in found]
  got = resolutions.by_edges(values, wide, 448)
  sizes = {f: (int(1067 * f + 448) // 64 + 1) * 32 for f in (0.8, 1, 1.2)}
  assert sizes == {0.8: 672, 1: 768, 1.2: 896}
  factors = resolutions.edge_factors(values, found)
  assert got == [sizes[f] for f in factors] and len(set(got)) == 3
  assert resolutions.by_edges(values, wide, 448, finest=800)[6] == 800


def test_only_the_steepest_pixels_are_edges():
  """6 % of them: a ramp everywhere else does not count."""
  values, found = _steps((0, 0, 0, 0, 1, 0, 3, 0, 2, 0))
  ramp = 0.01 * np.arange(values.shape[1], dtype=np.float32)[None, :, None]
  assert resolutions.edge_factors(values + ramp, found) == resolutions.edge_factors(values, found)


def _asked(answer):
  """A predictor that remembers what it is asked."""
  seen = []

  def predict(picture, resolution):
    seen.append((picture.shape, resolution))
    return answer(picture)

  return predict, seen


@pytest.mark.parametrize('alpha, finest', [(0.01, 1024), (0.05, 1024), (0.005, 256)])
def test_steep_windows_get_finer_resolutions(alpha, finest):
  """Eq. 11, factor by factor; the predictor sees the picture's first channel as depth."""
  rng = np.random.default_rng(0)
  photo = np.repeat(refiners.smooth(200, 200), 3, axis=-1)
  photo[:100, :100] += 0.2 * rng.random((100, 100, 1), np.float32)
  disparity = photo[..., :1]
  predictor, seen = _asked(lambda picture: 5 * picture[..., :1] + 3)
  found = windows.grid((200, 200), 1)
  steep, expected = resolutions.slope(disparity), []
  for window in found:
    crop = maps.unit(maps.resized(disparity[window.slices], (64, 64)), '').values
    mean, share = (64 + window.width) / 2, steep[window.slices].mean() / steep.mean()
    wanted = mean * resolutions.slope(crop).mean() / alpha * share
    expected.append(round(wanted / 32) * 32)
  done = []
  got = resolutions.by_gradients(
    photo, predictor, disparity, found, 64, alpha, finest, lambda: done.append(1)
  )
  assert got == [min(max(x, 64), finest) for x in expected] and got[0] > max(got[1:])
  assert [at for _, at in seen] == [64] * 4 == [64 * x for x in done]
  assert [shape for shape, _ in seen] == [(window.height, window.width, 3) for window in found]


def test_steepness_does_not_depend_on_size_or_units():
  small, large = refiners.smooth(60, 90), refiners.smooth(600, 900)
  one, other = (resolutions.steepness(x, 48) for x in (7 * small - 2, large))
  assert one == pytest.approx(other, rel=0.03) and one > 0
  assert resolutions.steepness(np.full((60, 90, 1), 0.3), 48) == 0


def test_predictions_have_units_of_their_own():
  """Brought to [0, 1] at once: of a large constant resizing would make relief."""
  picture = np.repeat(refiners.smooth(20, 30), 3, axis=-1)
  seen = resolutions.predict(_asked(lambda x: 1e-8 * x[..., :1])[0], picture, 64)
  assert seen.min() == 0 and seen.max() == 1 and seen.dtype == np.float32
  seen = resolutions.predict(_asked(lambda x: 0 * x[..., :1] + 1e4 / 3)[0], picture, 64)
  np.testing.assert_array_equal(seen, np.zeros((20, 30, 1), np.float32))


@pytest.mark.parametrize(
  'answer, message',
  [
    (lambda x: x, r'the predictor gave the shape \[20, 20, 3\]; it must give \[h w 1\]'),
    (lambda x: x[..., 0], r'the predictor gave the shape \[20, 20\]'),
    (lambda x: x[..., :1] / np.float32(np.nan), 'the predictor gave NaN'),
  ],
)
def test_what_is_no_prediction_is_refused(answer, message):
  with pytest.raises(ValueError, match=message):
    resolutions.predict(_asked(answer)[0], np.ones((20, 20, 3), np.float32), 64)
