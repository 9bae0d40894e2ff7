"""One stage of refinement: maps of any size and range go through the network and come back."""

import numpy as np
import pytest

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.refinement import refiners as refiner_models
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine
from tests import refiners


def _pair(h, w, seed=0):
  """A smooth map and a rough one of the same scene, about half the size and full."""
  low, high = refiners.smooth(h // 2, w // 2), refiners.smooth(h, w)
  noise = np.random.default_rng(seed).normal(size=high.shape).astype(np.float32)
  return low, high + np.float32(0.1) * noise


@pytest.mark.parametrize('shape', [(96, 130), (57, 41), (3, 200), (2, 2), (301, 257)])
def test_what_the_network_keeps_is_kept(shape):
  """A network that gives its low map in a scale of its own: size and units come back."""
  low, high = 7 - 3 * refiners.smooth(57, 41), 5 - refiners.smooth(80, 58)
  result = refine.refine(low, high, refiners.mixing(0, 0.01, 9), shape=shape)
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, 7 - 3 * refiners.smooth(*shape), atol=0.11)


def test_the_result_has_the_size_of_the_high_map():
  low, high = _pair(90, 122)
  assert refine.refine(low, high, refiners.mixing(0.5)).shape == high.shape


@pytest.mark.parametrize('local, tolerance', [(False, 1e-3), (True, 1e-2)])
def test_what_is_of_the_high_map_is_scaled_to_the_low_one(local, tolerance):
  """The scale is the low map's, whatever range and polarity of units the high one has."""
  _, high = _pair(128, 128)
  low = 40 + 2 * high
  result = refine.refine(low, 1e3 * high - 5e4, refiners.mixing(1), side=128, local=local)
  np.testing.assert_allclose(result, low, atol=tolerance)


def test_places_have_the_values_of_the_low_map():
  """Of a sharp map that drifts, by a network that keeps to it, a line for all leaves the drift."""
  low = refiners.smooth(90, 122)
  columns = np.linspace(0, 9, 122, dtype=np.float32)[:, None]
  drifting = low + 0.3 * np.sin(columns)
  whole, local = (
    refine.refine(5 * low, drifting, refiners.mixing(1), side=128, local=x) for x in (False, True)
  )
  assert abs(whole - 5 * low).mean() > 0.3 > 0.05 > abs(local - 5 * low).mean()
  # One map for both has nothing to be aligned to.
  alone = [refine.refine(low, low, refiners.tiny(), local=x) for x in (False, True)]
  np.testing.assert_array_equal(*alone)
  assert abs(alone[0] - low).max() > 0.01


@pytest.mark.parametrize('scale, offset', [(100.0, -7.0), (1e-3, 0.5)])
def test_units_of_the_low_map_pass_through(scale, offset):
  """out(a low + b) = a out(low) + b, by the real network."""
  low, high = _pair(61, 83)
  plain = refine.refine(low, high, refiners.tiny())
  scaled = refine.refine(scale * low + offset, 3 * high + 1, refiners.tiny())
  np.testing.assert_allclose((scaled - offset) / scale, plain, atol=2e-3)
  assert np.abs(plain - maps.resized(low, high.shape[:2])).max() > 0.02


def _seen(monkeypatch, low, high, **options):
  """What the network is shown."""
  seen = []

  def run(_, *pair):
    seen.append(pair)
    return pair[0]

  monkeypatch.setattr(refine, '_compiled', lambda model: run)
  refine.refine(low, high, refiners.mixing(0), **options)
  return seen[0]


def test_the_network_is_shown_squares(monkeypatch):
  low, high = _pair(200, 300)
  a, b = _seen(monkeypatch, low, high, side=256)
  assert a.shape == b.shape == (1, 256, 256, 1) and a.dtype == b.dtype == np.float32
  np.testing.assert_allclose(a[0], refiners.smooth(256, 256), atol=0.02)
  np.testing.assert_allclose(b.mean(), maps.unit(high, 'high').values.mean(), atol=1e-3)


@pytest.mark.parametrize('shape, side', [((40, 30), 128), ((200, 300), 1024), ((3000, 900), 2048)])
def test_squares_are_three_times_as_large_as_pictures(shape, side):
  assert refine.chosen_side(refiners.mixing(0), shape) == side
  # A network of larger ones keeps to them.
  assert refine.chosen_side(refiners.mixing(0)._replace(side=2048), shape) == 2048
  assert refine.chosen_side(refiners.mixing(0), shape, 512) == min(side, 512)


def test_a_network_that_halves_more_often_has_squares_that_it_can_halve():
  model = refiner_models.network({'network': 'gbdf', 'levels': 9, 'dtype': 'float32'})
  assert refine.chosen_side(refine.Refiner(model, {}, 512), (400, 300)) == 3 * 512


def test_the_authors_way_of_resizing_is_an_option(monkeypatch):
  low, high = _pair(300, 400)
  unit = maps.unit(high, 'high').values
  _, smooth = _seen(monkeypatch, low, high, side=128)
  _, nearest = _seen(monkeypatch, low, high, side=128, nearest=True)
  assert np.isin(nearest, unit).all() and not np.isin(smooth, unit).all()
  np.testing.assert_array_equal(nearest[0], maps.nearest(unit, (128, 128)))


@pytest.mark.parametrize('chunk', [1, 2])
def test_maps_of_a_batch_do_not_know_of_each_other(chunk):
  """One, or two and two with the last repeated: whoever else is in the batch."""
  rng = np.random.default_rng(1)
  low, high = (rng.random((3, 128, 128, 1), np.float32) * 3 for _ in range(2))
  low[1] *= 50
  found = list(refine.fuse(refiners.tiny(), low, high, chunk))
  assert len(found) == 3
  for i, values in enumerate(found):
    (alone,) = refine.fuse(refiners.tiny(), low[i : i + 1], high[i : i + 1])
    np.testing.assert_allclose(values, alone, atol=1e-4 * low[i].max())


def test_an_ensemble_is_the_mean_over_flips_and_inversions():
  """By the real network, which is none of all that by itself."""
  rng = np.random.default_rng(2)
  low, high = (refiners.smooth(128, 128)[None] + 0.3 * rng.random((2, 128, 128, 1)) for _ in 'ab')
  low, high = (x.astype(np.float32) for x in (low, high))

  def fused(*pair, **options):
    return np.stack(list(refine.fuse(refiners.tiny(), *pair, **options)))

  plain, two, all_eight = (fused(low, high, ensemble=n) for n in (1, 2, 8))
  mirrored = -fused(-low[:, :, ::-1], -high[:, :, ::-1])[:, :, ::-1]
  np.testing.assert_allclose(two, (plain + mirrored) / 2, atol=1e-5)
  assert np.abs(two - plain).max() > 0.01
  # Of all eight, nothing depends on how a pair is turned.
  turned = fused(-low[:, ::-1], -high[:, ::-1], ensemble=8)
  np.testing.assert_allclose(-turned[:, ::-1], all_eight, atol=1e-4)
  assert np.abs(-fused(-low[:, ::-1], -high[:, ::-1])[:, ::-1] - plain).max() > 0.01
  np.testing.assert_allclose(fused(low, high, chunk=2, ensemble=2), two, atol=1e-5)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'low': np.zeros((9, 9, 1))}, 'the low map is constant'),
    ({'high': np.zeros((9, 9, 1))}, 'the high map is constant'),
    ({'low': np.ones((1, 9, 1))}, 'the low map is 9 x 1 pixels; both sides'),
    ({'high': refiners.smooth(9, 12)}, 'their aspect ratios must agree within 2 %'),
    ({'high': 1 / (1 + refiners.smooth(90, 90))}, 'run against each other .rank correlation -1.00'),
    ({'side': 100}, 'the side is 100 pixels; it must be a multiple of 128'),
    ({'side': 0}, 'the side is 0 pixels'),
    ({'ensemble': 9}, 'the ensemble has 9 views; it can have 1 to 8'),
    ({'ensemble': 0}, 'the ensemble has 0 views'),
  ],
)
def test_what_cannot_be_refined_is_refused(change, message):
  arguments = {'low': refiners.smooth(9, 9), 'high': refiners.smooth(90, 90), **change}
  with pytest.raises(ValueError, match=message):
    refine.refine(refiner=refiners.mixing(0), **arguments)


def test_weights_of_a_run_come_back_as_the_network_that_wrote_them(tmp_path):
  refiners.save(tmp_path)
  for path in (tmp_path, tmp_path / weights.FILE_NAME):
    loaded = refine.load(path)
    assert loaded.side == refiners.SIDE and loaded.model == refiners.tiny().model
    assert loaded.enlarged == 1  # The field is younger than many weights.
    hash(loaded.model)  # It is the key under which it is kept compiled.
  refiners.save(tmp_path, enlarge=2)
  assert refine.load(tmp_path)[2:] == (refiners.SIDE, 2)


def test_weights_of_another_task_are_refused(tmp_path):
  refiners.save(tmp_path, task='depth')
  with pytest.raises(InputError, match="weights of the task 'deeplens_depth'; expected .*'sddr'"):
    refine.load(tmp_path)


def test_what_does_not_ship_is_said_to(tmp_path, monkeypatch):
  monkeypatch.setattr(refine.importlib.resources, 'files', lambda _: tmp_path)
  with pytest.raises(InputError, match='sddr.safetensors: does not come with .*; .*--weights='):
    refine.builtin()
  (tmp_path / 'pretrained').mkdir()
  refiners.save(tmp_path / 'pretrained' / 'sddr.safetensors')
  assert refine.builtin().side == refiners.SIDE
