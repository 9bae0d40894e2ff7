"""The published protocol, quirks and all, on pictures small enough to be worked out by hand."""

import numpy as np
import pytest

from depthjax.metrics import aligned, published


def test_the_true_depth_has_eight_bits_and_no_fraction():
  """1000 px * 255 mm over disparities that the scale 1/255 makes 255 times as large: 1000 / d."""
  disparity = np.array([[10.0, 15.0, 300.0, np.inf, 3.0, 2000.0]])
  for scale in (1 / 255, -1 / 255):
    depth = published.stored_depth(disparity, pfm_scale=scale, focal=1000, baseline=255)
    assert depth.dtype == np.uint8
    # 100, 66.7, 3.33, unknown, 333.3 that starts again at 0, and 0.5 that becomes unknown.
    np.testing.assert_array_equal(depth, [[100, 66, 3, 0, 333 - 256, 0]])
  shifted = published.stored_depth(disparity[:, :1], pfm_scale=0.5, focal=100, baseline=6, doffs=10)
  np.testing.assert_array_equal(shifted, [[20]])


def test_predictions_are_stored_with_sixteen_bits():
  stored = published.stored_prediction(np.array([[-1.0, 0.0, 1.0, 0.99999]]))
  assert stored.dtype == np.uint16
  np.testing.assert_array_equal(stored, [[0, 32767, 65535, 65534]])


def test_a_worked_example_of_depth():
  """The line through -3, -1, 1, 3 and 1, 1, 1, 9 is 1.2 x + 3: depths -0.6, 1.8, 4.2, 6.6.

  Ratios to the truth: the negative one is below any threshold, then 1.8, 4.2 and 9 / 6.6 = 1.36.
  """
  prediction, truth = np.array([[-3, -1, 1, 3, 500]]), np.array([[1, 1, 1, 9, 0]], np.uint8)
  scores = published.errors(prediction, truth)
  assert np.isnan(scores.pop('log10'))
  assert scores == pytest.approx(
    {
      'delta1': 1 / 4,
      'delta2': 2 / 4,
      'delta3': 3 / 4,
      'rel': (1.6 + 0.8 + 3.2 + 2.4 / 9) / 4,
      'sqrel': (1.6**2 + 0.8**2 + 3.2**2 + 2.4**2 / 9) / 4,
      'rmse': np.sqrt((1.6**2 + 0.8**2 + 3.2**2 + 2.4**2) / 4),
    }
  )
  # The honest measure clips that depth, says so, and counts it as wrong.
  honest = aligned.align(prediction, truth, truth > 0, convention='depth')
  assert honest.clipped == 1 / 4
  assert aligned.errors(honest.depth, truth, truth > 0)['delta1'] == 0


def test_a_worked_example_of_disparity():
  """To 0.01, 0.01, 0.01, 1 the line is 0.1485 x + 0.2575: -0.188 becomes 0, its depth infinite."""
  prediction, truth = np.array([[-3, -1, 1, 3]]), np.array([[100, 100, 100, 1]], np.uint8)
  scores = published.errors(prediction, truth, convention='disparity')
  # The others are 9.17, 2.46 and 1.42: only the last is near its truth, by 1.42.
  assert (scores['delta1'], scores['delta2']) == (0, 1 / 4)
  assert scores['rel'] == scores['rmse'] == np.inf
  inverse = 1 / truth
  exact = published.errors(5 * inverse - 2, truth, convention='disparity')
  assert exact['delta1'] == 1 and exact['rel'] < 1e-9


def test_a_prediction_is_brought_to_the_size_of_the_truth():
  truth = np.array([[10, 20, 40, 50]], np.uint8)
  assert published.errors(np.array([[0, 1000]]), truth)['rel'] < 1e-9


def test_what_is_not_above_zero_is_left_out_of_the_mean():
  nan = float('nan')
  rows = [{'rel': 0.1, 'log10': nan}, {'rel': 0.0, 'log10': 0.2}, {'rel': 0.3, 'log10': nan}]
  assert published.mean(rows) == {'rel': pytest.approx(0.2), 'log10': 0.2}
  assert np.isnan(published.mean(rows[:1])['log10'])


def test_views_are_told_by_their_place():
  assert [published.truth_name(i) for i in range(4)] == ['disp0', 'disp1', 'disp0', 'disp1']


def test_refusals():
  disparity, truth = np.array([[np.nan, 1.0]]), np.array([[1, 2]], np.uint8)
  with pytest.raises(ValueError, match='must not hold NaN'):
    published.stored_depth(disparity, pfm_scale=1, focal=1, baseline=1)
  with pytest.raises(ValueError, match='nor the scale be 0'):
    published.stored_depth(disparity[:, 1:], pfm_scale=0, focal=1, baseline=1)
  with pytest.raises(ValueError, match='add up to 0'):
    published.stored_depth(disparity[:, 1:], pfm_scale=1, focal=1, baseline=1, doffs=-1)
  with pytest.raises(ValueError, match='finite and not constant'):
    published.stored_prediction(truth * 0)
  for prediction, truth_ in ((disparity, truth), (truth, 0 * truth)):
    with pytest.raises(ValueError, match='needs known pixels and the prediction finite values'):
      published.errors(prediction, truth_)
  with pytest.raises(ValueError, match="the convention is 'inverse'"):
    published.errors(truth, truth, convention='inverse')
