"""Training records of depth refinement: the shapes that all rely on, flips, windows, targets."""

import dataclasses

import cv2
import numpy as np
import pytest

from depthjax import windows
from depthjax.data.errors import noise
from depthjax.data.records import predictions
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.ops import disparity
from tests.data import made

SIDE, WINDOW = 96, 48
CONFIG = PredictionConfig(levels=2, window_size=WINDOW)
PLAIN = dataclasses.replace(CONFIG, augment=False, stereo_targets=0.0)


@pytest.fixture(name='truth', scope='module')
def fixture_truth():
  return made.truth(SIDE)


def simulated(truth, seed=0, *, train=True, valid=None, **fields):
  config = dataclasses.replace(PLAIN, **fields)
  return predictions.simulate(np.random.default_rng(seed), truth, valid, config, train=train)


def edge_steps(x, truth):
  """How steep a map is where the truth has its edges, against the truth."""
  edges = noise.edges(truth)
  return np.median(noise.steps(x)[edges] / noise.steps(truth)[edges])


@pytest.mark.parametrize('train', [True, False])
def test_a_record_has_the_agreed_arrays(truth, train):
  for seed in range(8):
    record = predictions.simulate(np.random.default_rng(seed), truth, None, CONFIG, train=train)
    shapes = {name: x.shape for name, x in record.items()}
    maps = dict.fromkeys(('target', 'valid', 'low', 'high'), (SIDE, SIDE, 1))
    assert shapes == {**maps, 'windows': (13, WINDOW, WINDOW, 1), 'stereo_target': ()}
    assert all(x.dtype == np.float32 for x in record.values())
    for x in (record['low'], record['high'], *record['windows']):
      assert 0 <= x.min() < 1e-5 and 1 - 1e-5 < x.max() <= 1
    target = record['target'][record['valid'] > 0]
    assert target.min() < 1e-5 and target.max() > 1 - 1e-5
    assert 0 <= record['target'].min() and record['target'].max() <= 1
    assert set(np.unique(record['valid'])) <= {0, 1} and record['stereo_target'] in (0, 1)


def test_without_levels_there_are_no_windows(truth):
  assert 'windows' not in simulated(truth, levels=0)


def test_evaluation_is_of_the_truth_itself(truth):
  for seed in range(8):
    rng = np.random.default_rng(seed)
    record = predictions.simulate(rng, truth, None, CONFIG, train=False)
    np.testing.assert_array_equal(record['target'][..., 0], predictions.normalise(truth))
    assert record['valid'].all() and record['stereo_target'] == 0


def test_a_record_is_a_function_of_the_generator(truth):
  one, same, other = (simulated(truth, seed) for seed in (5, 5, 6))
  for name, x in one.items():
    np.testing.assert_array_equal(x, same[name])
  for name in ('low', 'high', 'windows'):
    assert (one[name] != other[name]).any()


def test_no_noise_and_full_resolution_is_the_truth(truth):
  record = simulated(truth, noise=0.0, low=1.0, high=1.0, window_size=SIDE)
  for name in ('low', 'high'):
    np.testing.assert_allclose(record[name], record['target'], atol=1e-6)
  parts = [part for level in (1, 2) for part in windows.grid((SIDE, SIDE), level)]
  for own, part in zip(record['windows'], parts, strict=True):
    want = noise.resized(truth[part.slices], (SIDE, SIDE), cubic=True)
    np.testing.assert_allclose(own[..., 0], predictions.normalise(want), atol=1e-5)


def test_the_low_one_is_consistent_and_the_high_one_sharp(truth):
  unit = predictions.normalise(truth)
  inside = cv2.erode((~noise.edges(unit)).astype(np.uint8), np.ones((9, 9))) > 0
  wrong, sharp = [], []
  for seed in range(6):
    record = simulated(truth, seed, smooth_shared=0.0)
    fitted = [
      np.polyval(np.polyfit(x[inside], unit[inside], 1), x)
      for x in (record['low'][..., 0], record['high'][..., 0])
    ]
    wrong.append([np.std((x - unit)[inside]) for x in fitted])
    sharp.append([edge_steps(x, unit) for x in fitted])
  low, high = np.mean(wrong, 0)
  assert 0.005 < low < 0.6 * high < 0.1
  low, high = np.mean(sharp, 0)
  assert low < 0.7 * high


def test_windows_are_finer_than_the_high_prediction(truth):
  unit, ratios = predictions.normalise(truth), []
  for seed in range(4):
    record = simulated(truth, seed, edge_high=0.0, window_size=SIDE)
    for own, part in zip(record['windows'][:4], windows.grid((SIDE, SIDE), 1), strict=True):
      there = unit[part.slices]
      if np.ptp(there) < 0.3:
        continue
      crops = (np.ascontiguousarray(x[part.slices]) for x in (record['high'][..., 0], unit))
      high, want = (noise.resized(x, (SIDE, SIDE)) for x in crops)
      fitted = (np.polyval(np.polyfit(x.ravel(), want.ravel(), 1), x) for x in (own[..., 0], high))
      ratios.append([edge_steps(x, want) for x in fitted])
  window, high = np.mean(ratios, 0)
  assert window > 1.2 * high


def test_each_window_has_errors_of_its_own():
  """Discs as far from each other as the windows of level 1: these all show the same."""
  parts = windows.grid((SIDE, SIDE), 1)
  period = parts[1].left
  y, x = np.mgrid[:SIDE, :SIDE] % period - period // 2
  truth = (x**2 + y**2 < 150).astype(np.float32)
  one, other = simulated(truth, levels=1, smooth_shared=0.0)['windows'][:2, ..., 0]
  assert 0.02 < np.abs(one - other).mean() < 0.3
  one, other = simulated(truth, levels=1, noise=0.0)['windows'][:2, ..., 0]
  np.testing.assert_allclose(one, other, atol=1e-6)


def test_resolutions_of_records_differ_within_their_reach():
  config = PredictionConfig(low=0.4, high=0.8, max_coarsening=4.0)
  draws = [predictions._resolutions(np.random.default_rng(seed), config) for seed in range(400)]
  low, high = (np.array([draw[name] for draw in draws]) for name in ('low', 'high'))
  assert 0.1 <= low.min() < 0.11 and 0.38 < low.max() <= 0.4
  assert 0.2 <= high.min() and 0.77 < high.max() <= 0.8
  assert (low <= high).all() and (low < high).mean() > 0.8
  # As many are halved as are halved again.
  assert 0.4 < (low < 0.2).mean() < 0.6


def test_a_record_without_reach_draws_nothing_for_it(truth):
  rng, fields = np.random.default_rng(0), {'low': 0.25, 'high': 0.5}
  assert predictions._resolutions(rng, PredictionConfig(**fields)) == fields
  assert rng.random() == np.random.default_rng(0).random()
  coarse = [
    simulated(truth, seed, noise=0.0, low=0.5, high=0.5, max_coarsening=4.0) for seed in range(5)
  ]
  steep = [edge_steps(record['low'][..., 0], predictions.normalise(truth)) for record in coarse]
  assert max(steep) > 1.3 * min(steep)


def test_white_noise_is_in_the_low_prediction_of_half_the_records(truth):
  quiet = dict.fromkeys(
    [
      f'{kind}_{which}'
      for kind in ('smooth', 'offset', 'gain', 'edge')
      for which in ('low', 'high')
    ],
    0.0,
  )
  fields = {**quiet, 'smooth_shared': 0.0, 'low': 1.0, 'high': 1.0, 'levels': 0}
  unit, found = predictions.normalise(truth), []
  for seed in range(60):
    record = simulated(truth, seed, white_low=0.05, **fields)
    np.testing.assert_allclose(record['high'][..., 0], unit, atol=1e-6)
    error = np.diff(record['low'][..., 0] - unit, axis=1)
    found.append(np.median(np.abs(error)) / 0.954)  # Of a difference of two normal numbers.
  found = np.array(found)
  assert 15 < (found < 1e-6).sum() < 45
  assert 0.03 < found.max() < 0.052
  off = simulated(truth, white_low=0.05, **{**fields, 'noise': 0.0})
  np.testing.assert_allclose(off['low'], off['high'], atol=1e-6)


@pytest.mark.parametrize(
  'x', [np.zeros((4, 5)), np.full((4, 5), 1e6), np.eye(5), 3 - 7 * np.eye(5)]
)
def test_maps_are_normalised_as_on_the_device(x):
  x = x.astype(np.float32)
  want = disparity.normalise(x[..., None])[..., 0]
  np.testing.assert_allclose(predictions.normalise(x), want, atol=1e-6)


def test_augmentation_flips_and_inverts_all_maps_alike(truth):
  """Without errors the record of each generator is one of eight."""
  exact = {'noise': 0.0, 'low': 1.0, 'high': 1.0, 'window_size': SIDE}
  seen = np.zeros((2, 2, 2))
  unit = predictions.normalise(truth)
  for seed in range(60):
    record = simulated(truth, seed, augment=True, **exact)
    target = record['target'][..., 0]
    keys = [
      (up, left, inverted)
      for up in (0, 1)
      for left in (0, 1)
      for inverted in (0, 1)
      if np.allclose(
        target, np.abs(inverted - predictions.flipped(unit, np.array([up, left]))), atol=1e-6
      )
    ]
    assert len(keys) == 1
    seen[keys[0]] += 1
    for name in ('low', 'high'):
      np.testing.assert_allclose(record[name], record['target'], atol=1e-6)
    part = windows.grid((SIDE, SIDE), 1)[0]
    crop = noise.resized(np.ascontiguousarray(target[part.slices]), (SIDE, SIDE), cubic=True)
    np.testing.assert_allclose(record['windows'][0, ..., 0], predictions.normalise(crop), atol=1e-4)
  assert (seen.sum(2) > 6).all() and 10 < seen[..., 1].sum() < 32
  for seed in range(8):
    record = simulated(truth, seed, train=False, augment=True, **exact)
    np.testing.assert_allclose(record['target'][..., 0], unit, atol=1e-6)


def test_natural_targets_have_holes_and_others_none(truth):
  records = [simulated(truth, seed, stereo_targets=0.5) for seed in range(24)]
  natural = [record for record in records if record['stereo_target']]
  assert 5 < len(natural) < 19
  unit = predictions.normalise(truth)
  distance = cv2.distanceTransform((~noise.edges(unit)).astype(np.uint8), cv2.DIST_L2, 5)
  for record in records:
    if not record['stereo_target']:
      assert record['valid'].all()
      np.testing.assert_array_equal(record['target'][..., 0], unit)
      continue
    holes = record['valid'][..., 0] == 0
    assert 0 < holes.mean() < 0.3 and distance[holes].max() < 0.1 * SIDE
    assert 0 < np.abs(record['target'][..., 0] - unit)[distance > 8].max() < 0.1


def test_a_truth_with_holes_is_natural_and_its_holes_stay(truth):
  valid = np.ones_like(truth, bool)
  valid[10:40, 20:50] = False
  holed = np.where(valid, truth, 7)
  record = simulated(holed, valid=valid, stereo_targets=1.0)
  np.testing.assert_array_equal(record['valid'][..., 0] > 0, valid)
  assert record['stereo_target'] == 1
  known = predictions.normalise(truth, valid)[valid]
  np.testing.assert_allclose(record['target'][..., 0][valid], known, atol=1e-6)
  # The 7s would have left next to nothing of the range of a prediction.
  assert np.corrcoef(record['low'][..., 0][valid], known)[0, 1] > 0.8


def test_flipped_windows_are_the_windows_of_the_flipped_picture():
  y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
  picture = np.sin(x / 9) + np.cos(y / 7) + x / 40

  def cut(image):
    parts = [part for level in (1, 2) for part in windows.grid(image.shape, level)]
    return np.stack([noise.resized(image[part.slices], (SIDE, SIDE)) for part in parts])

  for flips in np.ndindex(2, 2):
    flips = np.array(flips)
    got = predictions.flipped_windows(cut(picture), flips, picture.shape, 2)
    want = cut(np.ascontiguousarray(predictions.flipped(picture, flips)))
    np.testing.assert_allclose(np.stack(got)[:, 8:-8, 8:-8], want[:, 8:-8, 8:-8], atol=0.02)


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'levels': -1}, 'levels is -1'),
    ({'levels': 1.5}, 'an integer'),
    ({'window_size': 8}, 'window_size is 8'),
    ({'low': 0.0}, 'low is 0.0'),
    ({'low': 0.7}, 'at most high'),
    ({'max_coarsening': 0.5}, 'max_coarsening is 0.5'),
    ({'white_low': -0.1}, 'white_low is -0.1'),
    ({'stereo_targets': 1.2}, 'stereo_targets is 1.2'),
    ({'augment': 1}, 'true or false'),
    ({'offset_high': -0.1}, 'offset_high is -0.1'),
    ({'noise': float('nan')}, 'noise is nan'),
  ],
)
def test_fields_out_of_range_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    PredictionConfig(**fields)
