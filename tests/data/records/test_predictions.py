"""Training records of depth refinement: shapes, augmentation, windows, targets, errors."""

import dataclasses

import cv2
import numpy as np
import pytest

from depthjax import windows
from depthjax.data.errors import noise
from depthjax.data.records import flips, predictions
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.ops import disparity
from tests.data import made

SIDE, WINDOW = 96, 48
TRUTH = made.truth(SIDE)
UNIT = predictions.normalise(TRUTH)
CONFIG = PredictionConfig(levels=2, window_size=WINDOW)
PLAIN = dataclasses.replace(CONFIG, augment=False, stereo_targets=0.0)
EXACT = {'noise': 0.0, 'low': 1.0, 'high': 1.0, 'window_size': SIDE}  # Predictions are the truth.


def simulated(truth, seed=0, *, train=True, valid=None, **fields):
  config = dataclasses.replace(PLAIN, **fields)
  return predictions.simulate(np.random.default_rng(seed), truth, valid, config, train=train)


def fitted(x, want, inside=...):
  """A map after an affine fit to another."""
  return np.polyval(np.polyfit(x[inside].ravel(), want[inside].ravel(), 1), x)


def edge_steps(x, truth):
  """Median step of a map at the edges of the truth, relative to the step of the truth."""
  edges = noise.edges(truth)
  return np.median(noise.steps(x)[edges] / noise.steps(truth)[edges])


@pytest.mark.parametrize('train', [True, False])
def test_record_has_normalised_float32_arrays(train):
  for seed in range(8):
    record = predictions.simulate(np.random.default_rng(seed), TRUTH, None, CONFIG, train=train)
    shapes = {name: x.shape for name, x in record.items()}
    maps = dict.fromkeys(('target', 'valid', 'low', 'high'), (SIDE, SIDE, 1))
    assert shapes == {**maps, 'windows': (13, WINDOW, WINDOW, 1), 'stereo_target': ()}
    assert all(x.dtype == np.float32 for x in record.values())
    target = record['target'][record['valid'] > 0]
    for x in (target, record['low'], record['high'], *record['windows']):
      assert 0 <= x.min() < 1e-5 and 1 - 1e-5 < x.max() <= 1
    assert 0 <= record['target'].min() and record['target'].max() <= 1
    assert set(np.unique(record['valid'])) <= {0, 1} and record['stereo_target'] in (0, 1)
    if not train:  # Neither augmented nor degraded.
      np.testing.assert_array_equal(record['target'][..., 0], UNIT)
      assert record['valid'].all() and record['stereo_target'] == 0
  assert 'windows' not in simulated(TRUTH, levels=0)


def test_low_prediction_is_consistent_and_high_prediction_sharp():
  inside = cv2.erode((~noise.edges(UNIT)).astype(np.uint8), np.ones((9, 9))) > 0
  errors, sharpness = [], []
  for seed in range(6):
    record = simulated(TRUTH, seed, smooth_shared=0.0)
    aligned = [fitted(record[name][..., 0], UNIT, inside) for name in ('low', 'high')]
    errors.append([np.std((x - UNIT)[inside]) for x in aligned])
    sharpness.append([edge_steps(x, UNIT) for x in aligned])
  low, high = np.mean(errors, 0)
  assert 0.005 < low < 0.6 * high < 0.1
  low, high = np.mean(sharpness, 0)
  assert low < 0.7 * high


def test_windows_are_sharper_than_the_high_prediction():
  ratios = []
  for seed in range(4):
    record = simulated(TRUTH, seed, edge_high=0.0, window_size=SIDE)
    crops = cut(record['high'][..., 0])[:4], cut(UNIT)[:4]
    for window, high, want in zip(record['windows'][:4, ..., 0], *crops, strict=True):
      if np.ptp(want) > 0.3:
        ratios.append([edge_steps(fitted(x, want), want) for x in (window, high)])
  windows_step, high = np.mean(ratios, 0)
  assert windows_step > 1.2 * high


def test_each_window_has_independent_errors():
  """Discs at the distance of the windows of level 1, so that the windows have the same content."""
  period = windows.grid((SIDE, SIDE), 1)[1].left
  y, x = np.mgrid[:SIDE, :SIDE] % period - period // 2
  truth = (x**2 + y**2 < 150).astype(np.float32)
  for fields, least, most in (({'smooth_shared': 0.0}, 0.02, 0.3), ({'noise': 0.0}, 0, 1e-6)):
    one, other = simulated(truth, levels=1, **fields)['windows'][:2]
    assert least <= np.abs(one - other).mean() < most


def test_coarsening_is_random_within_its_limit():
  config = PredictionConfig(low=0.4, high=0.8, max_coarsening=4.0)
  draws = [predictions.resolutions(np.random.default_rng(seed), config) for seed in range(400)]
  low, high = np.array(draws).T
  assert 0.1 <= low.min() < 0.11 and 0.38 < low.max() <= 0.4
  assert 0.2 <= high.min() and 0.77 < high.max() <= 0.8
  assert (low <= high).all() and (low < high).mean() > 0.8
  assert 0.4 < (low < 0.2).mean() < 0.6  # Log-uniform.
  fields = {'noise': 0.0, 'low': 0.5, 'high': 0.5, 'max_coarsening': 4.0}
  records = [simulated(TRUTH, seed, **fields) for seed in range(5)]
  steep = [edge_steps(x['low'][..., 0], UNIT) for x in records]
  assert max(steep) > 1.3 * min(steep)


def test_white_noise_is_in_half_of_the_low_predictions():
  kinds = ('smooth', 'offset', 'gain', 'edge')
  quiet = {f'{kind}_{which}': 0.0 for kind in kinds for which in ('low', 'high')}
  fields = {**quiet, 'smooth_shared': 0.0, 'low': 1.0, 'high': 1.0, 'levels': 0}
  std = []
  for seed in range(60):
    record = simulated(TRUTH, seed, white_low=0.05, **fields)
    np.testing.assert_allclose(record['high'][..., 0], UNIT, atol=1e-6)
    error = np.diff(record['low'][..., 0] - UNIT, axis=1)
    std.append(np.median(np.abs(error)) / 0.954)  # For the difference of two normal variables.
  assert 15 < (np.array(std) < 1e-6).sum() < 45
  assert 0.03 < max(std) < 0.052


@pytest.mark.parametrize('x', [np.zeros((4, 5)), np.full((4, 5), 1e6), 3 - 7 * np.eye(5)])
def test_normalise_equals_that_of_ops(x):
  x = x.astype(np.float32)
  want = disparity.normalise(x[..., None])[..., 0]
  np.testing.assert_allclose(predictions.normalise(x), want, atol=1e-6)


def cut(image):
  """The windows of levels 1 and 2, resized to SIDE: [13 SIDE SIDE]."""
  parts = [part for level in (1, 2) for part in windows.grid(image.shape, level)]
  crops = (np.ascontiguousarray(image[part.slices]) for part in parts)
  return np.stack([noise.resized(x, (SIDE, SIDE), cubic=True) for x in crops])


@pytest.mark.parametrize('stored', [False, True])
def test_augmentation_flips_and_inverts_all_maps_together(stored):
  """Without errors, predictions equal the target, which is one of eight."""
  seen = np.zeros((2, 2, 2))
  maps = {'disparity': UNIT, 'low': 3 * UNIT, 'high': UNIT - 2, 'windows': cut(UNIT)}
  maps['valid'] = np.ones_like(UNIT, bool)
  config = dataclasses.replace(PLAIN, augment=True, **EXACT)
  for seed in range(60):
    record = simulated(TRUTH, seed, augment=True, **EXACT)
    if stored:
      record = predictions.stored(np.random.default_rng(seed), maps, config, train=True)
    target = record['target'][..., 0]
    keys = [
      (up, left, inverted)
      for up, left, inverted in np.ndindex(2, 2, 2)
      if np.allclose(target, np.abs(inverted - flips.flipped(UNIT, (up, left))), atol=1e-6)
    ]
    assert len(keys) == 1
    seen[keys[0]] += 1
    for name in ('low', 'high'):
      np.testing.assert_allclose(record[name], record['target'], atol=1e-6)
    for window, crop in zip(record['windows'], cut(target), strict=True):
      error = np.abs(window[..., 0] - predictions.normalise(crop))
      assert error.mean() < 0.03 if stored else error.max() < 1e-4  # Stored windows are shifted.
  assert (seen.sum(2) > 6).all() and 10 < seen[..., 1].sum() < 32


def test_stereo_targets_have_holes_and_other_targets_have_none():
  distance = cv2.distanceTransform((~noise.edges(UNIT)).astype(np.uint8), cv2.DIST_L2, 5)
  records = [simulated(TRUTH, seed, stereo_targets=0.5) for seed in range(24)]
  assert 5 < sum(record['stereo_target'] for record in records) < 19
  for record in records:
    target, holes = record['target'][..., 0], record['valid'][..., 0] == 0
    if record['stereo_target']:
      assert 0 < holes.mean() < 0.3 and distance[holes].max() < 0.1 * SIDE
      assert 0 < np.abs(target - UNIT)[distance > 8].max() < 0.1
    else:
      assert not holes.any()
      np.testing.assert_array_equal(target, UNIT)


def test_holes_of_the_truth_make_a_stereo_target():
  valid = np.ones_like(TRUTH, bool)
  valid[10:40, 20:50] = False
  record = simulated(np.where(valid, TRUTH, 7), valid=valid, stereo_targets=1.0)
  np.testing.assert_array_equal(record['valid'][..., 0] > 0, valid)
  assert record['stereo_target'] == 1
  known = predictions.normalise(TRUTH, valid)[valid]
  np.testing.assert_allclose(record['target'][..., 0][valid], known, atol=1e-6)
  # The value 7 would determine the range of the predictions.
  assert np.corrcoef(record['low'][..., 0][valid], known)[0, 1] > 0.8


def test_flipped_windows_are_the_windows_of_the_flipped_image():
  y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
  image = np.sin(x / 9) + np.cos(y / 7) + x / 40
  for axes in np.ndindex(2, 2):
    got = np.stack(flips.flipped_windows(cut(image), axes, image.shape, 2))
    want = cut(flips.flipped(image, axes))
    np.testing.assert_allclose(got[:, 8:-8, 8:-8], want[:, 8:-8, 8:-8], atol=0.02)


def test_fields_out_of_range_are_refused():
  for fields, message in (
    ({'window_size': 8}, 'window_size is 8'),
    ({'low': 0.7}, 'at most high'),
    ({'augment': 1}, 'true or false'),
  ):
    with pytest.raises(ValueError, match=message):
      PredictionConfig(**fields)
