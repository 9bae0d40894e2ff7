"""Scores on transparent and mirror surfaces: the grids of both protocols, and empty classes."""

import cv2
import numpy as np
import pytest

from depthjax.metrics import booster
from depthjax.scoring import tom

_H, _W = 32, 48
_RNG = np.random.default_rng(0)
_DISPARITY = cv2.resize(_RNG.uniform(0.5, 2, (5, 6)).astype(np.float32), (_W, _H))[..., None]
_RECORD = {
  'disparity': _DISPARITY,
  'valid': np.float32(_RNG.random(_DISPARITY.shape) < 0.8),
  'tom': np.float32(_RNG.random(_DISPARITY.shape) < 0.3),
}
# Of an own size and range, with noise that antialiasing would remove.
_PREDICTION = cv2.resize(_DISPARITY, (24, 20))[..., None] * 7 - 3
_PREDICTION += _RNG.normal(0, 0.5, _PREDICTION.shape).astype(np.float32)


def test_the_published_protocol_takes_every_fourth_pixel_and_resizes_as_opencv_does():
  found = tom.score(_RECORD, _PREDICTION, published=True)
  assert tuple(found) == booster.CLASSES and tuple(found['tom']) == booster.METRICS
  size = _W // 4, _H // 4
  truth = [
    cv2.resize(_RECORD[name], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    for name in ('disparity', 'valid', 'tom')
  ]
  resized = cv2.resize(_PREDICTION, size, interpolation=cv2.INTER_LINEAR)
  maps = (x[None, ..., None] for x in (resized, *truth))
  for name, score in booster.scores(*maps, focal_baseline=1000).items():
    metric, _, kind = name.rpartition('_')
    np.testing.assert_allclose(found[kind][metric], score.value[0], rtol=1e-4)


def test_the_plain_protocol_scores_every_pixel():
  marred = {**_RECORD, 'disparity': _DISPARITY.copy()}
  marred['disparity'][1::4] *= 1.5
  for published in (True, False):
    same = tom.score(marred, _PREDICTION, published=published)
    assert (same == tom.score(_RECORD, _PREDICTION, published=published)) == published
  exact = tom.score(_RECORD, 2 - 3 * _DISPARITY)
  assert max(exact[kind]['mae'] for kind in exact) < 0.01
  # A large map is averaged where it is reduced.
  large = np.repeat(np.repeat(_DISPARITY, 4, 0), 4, 1)
  large += _RNG.normal(0, 0.3, large.shape).astype(np.float32)
  smooth, rough = (
    tom.score(_RECORD, large, published=published)['all']['rmse'] for published in (False, True)
  )
  assert smooth < 0.6 * rough


def test_a_class_without_pixels_has_no_scores_and_a_truth_without_any_is_refused():
  found = tom.score({**_RECORD, 'tom': 0 * _DISPARITY}, _PREDICTION)
  assert found['tom'] == {} and found['all'] == found['other']
  far = {**_RECORD, 'disparity': np.full_like(_DISPARITY, 0.05)}
  with pytest.raises(ValueError, match='no valid pixel of the truth has a depth of 1 to 10,000 mm'):
    tom.score(far, _PREDICTION)
