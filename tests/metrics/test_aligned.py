"""Alignment by scale and shift, and errors after it: known values, masks, and bad input."""

import numpy as np
import pytest

from depthjax.metrics import aligned


def _scene(h=20, w=30, seed=0):
  """Depth from 2 to 8 with holes (NaN), and the mask of valid pixels."""
  rng = np.random.default_rng(seed)
  valid = rng.random((h, w)) < 0.8
  return np.where(valid, rng.uniform(2, 8, (h, w)), np.nan), valid


@pytest.mark.parametrize('scale, shift', [(1, 0), (-3, 40), (1e-3, 5)])
def test_perfect_prediction_of_any_scale_and_shift_has_no_error(scale, shift):
  truth, valid = _scene()
  found = aligned.align(scale / np.where(valid, truth, 5.0) + shift, truth, valid)
  np.testing.assert_allclose(found.depth[valid], truth[valid], rtol=1e-9)
  assert found.scale == pytest.approx(1 / scale) and found.clipped == 0
  scores = aligned.errors(found.depth, truth, valid)
  assert [scores.pop(f'delta{i}') for i in (1, 2, 3)] == [1, 1, 1]
  assert max(scores.values()) < 1e-9


def test_errors_of_four_pixels_by_hand():
  truth, depth = np.array([[1.0, 2.0, 4.0, 9.0]]), np.array([[1.0, 3.0, 2.0, 0.5]])
  valid = np.array([[True, True, True, False]])
  scores = aligned.errors(depth, truth, valid)
  # The ratios are 1, 1.5 and 2; the bounds 1.25, 1.5625 and 1.953.
  assert scores == {
    'delta1': pytest.approx(1 / 3),
    'delta2': pytest.approx(2 / 3),
    'delta3': pytest.approx(2 / 3),
    'rel': pytest.approx((0 + 1 / 2 + 2 / 4) / 3),
    'sqrel': pytest.approx((0 + 1 / 2 + 4 / 4) / 3),
    'rmse': pytest.approx(np.sqrt((1 + 4) / 3)),
    'log10': pytest.approx((np.log10(1.5) + np.log10(2)) / 3),
  }


def test_line_equals_polyfit():
  rng = np.random.default_rng(0)
  x, y = 1000 + rng.random((2, 500))
  assert aligned.line(x, y) == pytest.approx(np.polyfit(x - 1000, y, 1) @ [[1, -1000], [0, 1]])
  assert aligned.line(np.full(500, 0.1), y) == (0, pytest.approx(y.mean()))


def test_disparity_below_zero_is_clipped_and_counted():
  """The fit follows one pixel of disparity 10; the one at -5 becomes negative."""
  truth, prediction = np.ones((2, 1, 100))
  truth[0, 0], prediction[0, :2] = 1 / 10, (10, -5)
  found = aligned.align(prediction, truth, np.ones(truth.shape))
  assert found.scale * prediction[0, 1] + found.shift < -3
  assert found.clipped == 0.01 and found.depth[0, 1] == pytest.approx(1e3)
  scores = aligned.errors(found.depth, truth, np.arange(100)[None] == 1)
  assert scores['delta3'] == 0 and scores['log10'] == pytest.approx(3)


def test_invalid_pixels_are_ignored():
  truth, valid = _scene()
  rng = np.random.default_rng(1)
  prediction = 1 / np.where(valid, truth, 5) + 0.02 * rng.random(truth.shape)
  other = np.where(valid, prediction, 100 * rng.random(truth.shape))

  def scores(prediction, truth, valid):
    found = aligned.align(prediction, truth, valid)
    return aligned.errors(found.depth, truth, valid) | {'clipped': found.clipped}

  expected = scores(prediction, truth, valid)
  assert scores(other, np.where(valid, truth, -1), valid) == expected
  assert scores(*(x[valid][None] for x in (prediction, truth, valid))) == pytest.approx(expected)


def test_bad_input_is_an_error():
  truth, valid = _scene()
  good = np.ones(truth.shape)
  cases = [
    (np.where(truth > 3, np.nan, 1), truth, valid, 'the prediction holds .* NaN or infinite'),
    (np.where(valid, 1, np.inf), truth, valid, 'the prediction holds .* NaN or infinite'),
    (good, truth, 0 * good, 'truth has no valid pixel of 600'),
    (good[1:], truth, valid, r'prediction \[19, 30\], truth \[20, 30\] and valid'),
    (good[..., None], truth[..., None], valid[..., None], r'must be maps \[h w\]'),
  ]
  for value in (np.nan, 0, -2, np.inf):
    spoilt = truth.copy()
    spoilt[tuple(np.argwhere(valid)[0])] = value
    cases.append((good, spoilt, valid, 'truth of 1 valid pixels is not finite and above 0'))
  for *maps, message in cases:
    with pytest.raises(ValueError, match=message):
      aligned.align(*maps)
  with pytest.raises(ValueError, match='the smallest depth is -1; it must be above 0'):
    aligned.errors(-good, truth, valid)
