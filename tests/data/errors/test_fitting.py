"""Taking a predictor's error apart: its parts explain predictions that nobody made of them."""

import pathlib

import cv2
import numpy as np
import pytest

from depthjax.data.errors import fitting, noise
from depthjax.data.scenes import truths
from depthjax.data.scenes.config import SceneConfig
from depthjax.files import depth

_REAL = pathlib.Path(__file__).parents[4] / 'shared' / 'data' / 'pred_depth' / 'priorda'
_LOW = noise.Amplitudes(offset=0.02, gain=0.1, smooth=0.02, edge=0.2, patch=0.5, cells=2)
_HIGH = noise.Amplitudes(offset=0.07, gain=0.5, smooth=0.06, edge=0.2, patch=0.4, cells=4)


@pytest.fixture(name='truth', scope='module')
def fixture_truth():
  config = SceneConfig(height=64, width=64, pad=0, layers=4)
  return truths.draw_truth(np.random.default_rng(3), config, relief=1.0)


def predicted(truth, share, amplitudes, seed=11):
  size = tuple(round(share * x) for x in truth.shape)
  rng = np.random.default_rng(seed)
  return noise.simulate(rng, truth, resolution=size, amplitudes=amplitudes)


def aligned_psnr(truth, prediction):
  fitted = np.polyval(np.polyfit(prediction.ravel(), truth.ravel(), 1), prediction)
  return 10 * np.log10(np.ptp(truth) ** 2 / np.mean((fitted - truth) ** 2))


@pytest.mark.parametrize('share, amplitudes', [(0.22, _LOW), (0.6, _HIGH)])
def test_a_map_degraded_by_another_seed_is_explained_beyond_40_db(truth, share, amplitudes):
  """As the paper's decomposition, on Middlebury 2021."""
  prediction = 3 * predicted(truth, share, amplitudes) - 5
  parts = fitting.fit(truth, prediction, seed=1)
  assert aligned_psnr(truth, prediction) < 32
  assert fitting.psnr(truth, prediction, parts) > 40
  rest = fitting.reconstruct(truth, parts) - (parts.scale * prediction + parts.shift)
  want = 10 * np.log10(np.ptp(truth) ** 2 / np.mean(rest**2))
  assert fitting.psnr(truth, prediction, parts) == pytest.approx(want, abs=1e-2)
  assert parts.scale == pytest.approx(1 / 3, rel=0.3)


def test_each_part_explains_some_of_it(truth):
  prediction = predicted(truth, 0.35, _HIGH)
  parts = fitting.fit(truth, prediction)
  whole = fitting.psnr(truth, prediction, parts)
  none = np.zeros_like(truth)
  without = [
    parts._replace(inconsistency=none),
    parts._replace(gaussians=parts.gaussians._replace(heights=0 * parts.gaussians.heights)),
    parts._replace(resolution=1.0),
  ]
  for fewer in without:
    assert fitting.psnr(truth, prediction, fewer) < whole - 3


@pytest.mark.parametrize('share', [1.0, 0.5, 0.25])
def test_the_resolution_is_found(truth, share):
  assert fitting.fit(truth, predicted(truth, share, noise.Amplitudes())).resolution == share


def test_a_prediction_without_error_has_no_parts(truth):
  parts = fitting.fit(truth, 2 * truth + 1)
  assert parts.resolution == 1 and np.abs(parts.inconsistency).max() < 1e-3
  assert np.abs(parts.gaussians.heights).max() < 1e-3
  assert (parts.scale, parts.shift) == pytest.approx((0.5, -0.5), abs=1e-4)


def test_what_is_not_known_is_not_fitted(truth):
  valid = np.ones(truth.shape, bool)
  valid[15:35, 20:45] = False
  holed, prediction = truth.copy(), predicted(truth, 0.6, _HIGH)
  holed[~valid] = 99
  parts = fitting.fit(holed, prediction, valid)
  assert fitting.psnr(holed, prediction, parts, valid) > 38
  assert abs(parts.scale) < 3  # The 99s would have made it large.


def test_maps_that_do_not_match_and_unknown_truths_are_refused(truth):
  with pytest.raises(ValueError, match='equal ones fit'):
    fitting.fit(truth, truth[1:])
  with pytest.raises(ValueError, match='no pixel'):
    fitting.fit(truth, truth, np.zeros(truth.shape, bool))


@pytest.mark.skipif(not _REAL.is_dir(), reason=f'{_REAL} is not there')
def test_a_real_sensor_is_explained_mostly():
  """A time-of-flight sensor of a third of the resolution, against what it should have seen."""
  truth, prior = (depth.read_raw(_REAL / f'sample-2_{x}_depth.png') for x in ('gt', 'prior'))
  size = truth.shape[1] // 2, truth.shape[0] // 2
  truth, prior = (
    1000 / cv2.resize(x, size, interpolation=cv2.INTER_LINEAR) for x in (truth, prior)
  )
  parts = fitting.fit(truth, prior)
  assert fitting.psnr(truth, prior, parts) > max(34, aligned_psnr(truth, prior) + 10)
