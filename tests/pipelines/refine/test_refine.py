"""Refinement in one stage: sizes, units, alignment, the network's input, ensembles."""

import math

import numpy as np
import pytest

from depthjax.files import depth
from depthjax.models.refinement import refiners as refiner_models
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine, two_stage
from tests import refiners


def _pair(h, w, seed=0):
  """A smooth map of half the size, and a noisy one."""
  low, high = refiners.smooth(h // 2, w // 2), refiners.smooth(h, w)
  noise = np.random.default_rng(seed).normal(size=high.shape).astype(np.float32)
  return low, high + np.float32(0.1) * noise


@pytest.mark.parametrize('shape', [(96, 130), (57, 41), (3, 200), (2, 2), None])
def test_a_network_that_returns_the_low_map_preserves_it(shape):
  """The network's scale and offset do not matter; the default size is that of the high map."""
  low, high = 7 - 3 * refiners.smooth(57, 41), 5 - refiners.smooth(80, 58)
  result = refine.refine(low, high, refiners.mixing(0, 0.01, 9), shape=shape)
  shape = shape or (80, 58)
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, 7 - 3 * refiners.smooth(*shape), atol=0.11)


@pytest.mark.parametrize('local, tolerance', [(False, 1e-3), (True, 1e-2)])
def test_a_network_that_returns_the_high_map_gives_it_the_scale_of_the_low_map(local, tolerance):
  _, high = _pair(128, 128)
  low = 40 + 2 * high
  result = refine.refine(low, 1e3 * high - 5e4, refiners.mixing(1), input_size=128, local=local)
  np.testing.assert_allclose(result, low, atol=tolerance)


def test_local_alignment_removes_low_frequency_errors_of_the_high_map():
  low = refiners.smooth(90, 122)
  drifting = low + 0.3 * np.sin(np.linspace(0, 9, 122, dtype=np.float32))[:, None]
  maps = 5 * low, drifting, refiners.mixing(1)
  globally, locally = (refine.refine(*maps, input_size=128, local=x) for x in (False, True))
  assert abs(globally - 5 * low).mean() > 0.3 > 0.05 > abs(locally - 5 * low).mean()
  # The same map twice is not aligned locally.
  same = [refine.refine(low, low, refiners.tiny(), local=x) for x in (False, True)]
  np.testing.assert_array_equal(*same)
  assert abs(same[0] - low).max() > 0.01


@pytest.mark.parametrize('stages', [1, 2])
def test_results_stay_within_the_range_of_the_low_map_plus_the_margin(stages):
  """The sharp map has two objects beyond the range of the other."""
  low = refiners.smooth(90, 122)
  high = low.copy()
  high[30:38, 80:88], high[50:58, 20:28] = 2, -1
  pair = 6 * low - 3, high, refiners.mixing(1)
  for fields, expected in (({'margin': math.inf}, 6.5), ({}, 3.12), ({'margin': 0}, 3)):
    fields['local'] = False
    if stages == 2:
      fields = {'settings': two_stage.Settings(1, input_size=256, **fields)}
    result = (refine if stages == 1 else two_stage).refine(*pair, **fields)
    np.testing.assert_allclose((-result.min(), result.max()), expected, rtol=0.03)


@pytest.mark.parametrize('scale, offset', [(100.0, -7.0), (1e-3, 0.5)])
def test_refinement_is_equivariant_to_the_units_of_the_low_map(scale, offset):
  """out(a low + b) = a out(low) + b, with the real network."""
  low, high = _pair(61, 83)
  plain = refine.refine(low, high, refiners.tiny())
  scaled = refine.refine(scale * low + offset, 3 * high + 1, refiners.tiny())
  np.testing.assert_allclose((scaled - offset) / scale, plain, atol=2e-3)
  assert np.abs(plain - maps.resized(low, high.shape[:2])).max() > 0.02


def test_network_inputs_are_squares_of_the_input_size(monkeypatch):
  seen = []

  def run(_, *pair):
    seen.append(pair)
    return pair[0]

  monkeypatch.setattr(refine, '_compiled', lambda model: run)
  low, high = _pair(200, 300)
  refine.refine(low, high, refiners.mixing(0), input_size=256)
  ((a, b),) = seen
  assert a.shape == b.shape == (1, 256, 256, 1) and a.dtype == b.dtype == np.float32
  np.testing.assert_allclose(a[0], refiners.smooth(256, 256), atol=0.02)
  np.testing.assert_allclose(b.mean(), depth.to_unit_range(high).mean(), atol=1e-3)


@pytest.mark.parametrize('shape, size', [((40, 30), 128), ((200, 300), 1024), ((3000, 900), 2048)])
def test_default_input_size_is_three_times_the_long_side(shape, size):
  refiner = refiners.mixing(0)
  assert refine.default_input_size(refiner, shape) == size
  assert refine.default_input_size(refiner._replace(trained_size=2048), shape) == 2048
  assert refine.default_input_size(refiner, shape, 512) == min(size, 512)


def test_default_input_size_is_a_multiple_of_the_network_stride():
  model = refiner_models.network({'network': 'gbdf', 'levels': 9, 'dtype': 'float32'})
  assert refine.default_input_size(refine.Refiner(model, {}, 512), (400, 300)) == 3 * 512


def test_an_ensemble_is_the_mean_over_flips_and_inversions():
  """With the real network, which is not equivariant to them."""
  rng = np.random.default_rng(2)
  low, high = (refiners.smooth(128, 128)[None] + 0.3 * rng.random((2, 128, 128, 1)) for _ in 'ab')
  low, high = (x.astype(np.float32) for x in (low, high))

  def fused(*pair, **options):
    return np.stack(list(refine.fuse(refiners.tiny(), *pair, **options)))

  plain, two, all_eight = (fused(low, high, ensemble=n) for n in (1, 2, 8))
  mirrored = -fused(-low[:, :, ::-1], -high[:, :, ::-1])[:, :, ::-1]
  np.testing.assert_allclose(two, (plain + mirrored) / 2, atol=1e-5)
  assert np.abs(two - plain).max() > 0.01
  # The mean over all eight is equivariant.
  flipped = fused(-low[:, ::-1], -high[:, ::-1], ensemble=8)
  np.testing.assert_allclose(-flipped[:, ::-1], all_eight, atol=1e-4)
  assert np.abs(-fused(-low[:, ::-1], -high[:, ::-1])[:, ::-1] - plain).max() > 0.01
  np.testing.assert_allclose(fused(low, high, batch_size=2, ensemble=2), two, atol=1e-5)


_BAD = [
  ({'low': np.zeros((9, 9, 1))}, 'the low map is constant'),
  ({'high': np.zeros((9, 9, 1))}, 'the high map is constant'),
  ({'high': refiners.smooth(9, 12)}, 'low map: is 9 x 9 pixels but the high map is 12 x 9 .* 2 %'),
  ({'high': 1 / (1 + refiners.smooth(90, 90))}, 'opposite polarity .rank correlation -1.00'),
  ({'input_size': 100}, 'the input size is 100; it must be a multiple of 128'),
  ({'input_size': 0}, 'the input size is 0'),
  ({'ensemble': 9}, 'the ensemble has 9 views; it must have 1 to 8'),
  ({'ensemble': 0}, 'the ensemble has 0 views'),
]


@pytest.mark.parametrize('change, message', _BAD)
def test_invalid_arguments_are_refused(change, message):
  arguments = {'low': refiners.smooth(9, 9), 'high': refiners.smooth(90, 90), **change}
  with pytest.raises(ValueError, match=message):
    refine.refine(refiner=refiners.mixing(0), **arguments)


def test_weights_of_a_run_are_loaded(tmp_path):
  refiners.save(tmp_path)
  loaded = refine.load(tmp_path)
  assert loaded.model == refiners.tiny().model
  assert loaded[2:] == (refiners.SIZE, 1)  # Old weights have no field `enlarge`.
  hash(loaded.model)  # The key of the cache of compiled networks.
  refiners.save(tmp_path, enlarge=2)
  assert refine.load(tmp_path)[2:] == (refiners.SIZE, 2)
