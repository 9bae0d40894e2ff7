"""Refinement in two stages: windows as a batch, predictions, sizes, alignment."""

import cv2
import numpy as np
import pytest

from depthjax import windows
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import refiners

_PREDICTOR_SIZE = 64


def _scene(h, w):
  """A blurred map, a sharp one with more detail, and a photograph."""
  rng = np.random.default_rng(0)
  detail = 0.2 * np.sin(np.arange(w, dtype=np.float32))[None, :, None]
  low, high = refiners.smooth(h // 3, w // 3), refiners.smooth(h, w) + detail
  photo = np.concatenate([high, rng.random((h, w, 2), np.float32)], axis=-1)
  return low, high, photo


def _predictor(picture, resolution):
  """The photograph's first channel, plus more of its second at higher resolutions."""
  return 3 + 2 * picture[..., :1] + resolution / 500 * picture[..., 1:2]


@pytest.mark.parametrize('shape, levels', [((131, 97), 3), ((75, 200), 1), ((64, 64), 3)])
def test_a_network_that_returns_the_low_map_preserves_it(shape, levels):
  low, high, _ = _scene(*shape)
  fields = {'shape': shape, 'settings': Settings(levels)}
  result = two_stage.refine(8 * low - 3, high, refiners.mixing(0, 0.1, 2), **fields)
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, 8 * refiners.smooth(*shape) - 3, atol=0.12)


def _sequential(low, high, photo, refiner, predictor, levels):
  """Two stages as described in the paper: one window after another."""
  unit, size = maps.normalise(low, ''), refiner.trained_size
  current = refine.refine(unit.values, high, refiner, shape=photo.shape[:2], input_size=size)
  for level in range(1, levels + 1):
    found = windows.grid(photo.shape[:2], level)
    wanted = resolutions.by_edges(current, found, _PREDICTOR_SIZE)
    before = current.copy()
    for window, resolution in zip(found, wanted, strict=True):
      old = before[window.slices]
      sharp = predictor(photo[window.slices], resolution)
      pair = (maps.resized(x, (size, size))[None] for x in (old, sharp))
      new = maps.resized(next(refine.fuse(refiner, *pair)), old.shape[:2], cv2.INTER_CUBIC)
      weights = windows.feather(old.shape[:2])[..., None]
      current[window.slices] = current[window.slices] * (1 - weights) + weights * new
  return unit.restored(current)


@pytest.mark.parametrize('batch_size', [1, 2])
def test_windows_as_a_batch_equal_sequential_windows(batch_size):
  """With the real network; batches of 2 do not divide 9 windows."""
  low, high, photo = _scene(128, 111)
  expected = _sequential(low, high, photo, refiners.tiny(), _predictor, 2)
  settings = Settings(batch_size=batch_size, input_size=128, predictor_size=_PREDICTOR_SIZE)
  fields = {'photo': photo, 'predictor': _predictor, 'settings': settings}
  result = two_stage.refine(low, high, refiners.tiny(), **fields)
  np.testing.assert_allclose(result, expected, atol=1e-3)
  assert np.abs(result - refine.refine(low, high, refiners.tiny(), input_size=128)).max() > 0.02


def test_default_input_size_depends_on_the_window():
  """Windows of 200 pixels have 112; a network trained at 2048 is used at 1024."""
  seen, model = [], refiners.mixing(0).model

  class Recorder:
    def apply(self, variables, low, high, **options):
      seen.append(low.shape[1])
      return model.apply(variables, low, high, **options)

  low = refiners.smooth(200, 200)
  two_stage.refine(low, low, refine.Refiner(Recorder(), {}, 128), settings=Settings(1))
  assert seen == [640, 384]
  larger = refiners.mixing(0)._replace(trained_size=2048)
  assert two_stage.input_size_of(larger, (200, 200), Settings()) == 1024


def test_local_alignment_is_not_applied_to_separate_predictions_of_windows():
  """A network that returns the sharp map; `views` are its crops, as separate predictions."""
  low = refiners.smooth(120, 160)
  high = low + 0.3 * np.sin(np.linspace(0, 9, 160, dtype=np.float32))[:, None]
  views = [high[window.slices] for window in windows.grid((120, 160), 1)]

  def error(local, **fields):
    settings = Settings(1, input_size=128, local=local)
    result = two_stage.refine(low, high, refiners.mixing(1), settings=settings, **fields)
    return abs(result - low).mean()

  assert error(True) < 0.01 < 0.03 < error(True, views=views) < error(False, views=views)
  np.testing.assert_allclose(error(False), error(False, views=views), rtol=1e-5)


@pytest.mark.parametrize('local', [False, True])
@pytest.mark.parametrize('predictor', [None, _predictor])
def test_windows_add_detail_beyond_the_input_size(predictor, local):
  """Waves of 6 pixels in 600: an input size of 128 represents them in windows only."""
  low, high, photo = _scene(600, 600)
  single = refine.refine(low, high, refiners.mixing(1), input_size=128, local=False)
  settings = Settings(3, input_size=128, local=local, predictor_size=_PREDICTOR_SIZE)
  fields = {'photo': photo, 'predictor': predictor, 'settings': settings}
  refined = two_stage.refine(low, high, refiners.mixing(1), **fields)
  inner = slice(60, -60)
  detail = (high - refiners.smooth(600, 600))[inner, inner]
  waves = [(x[inner, inner] * detail).mean() / (detail**2).mean() for x in (single, refined)]
  assert abs(waves[0]) < 0.05 < 0.3 < waves[1]


def test_the_predictor_is_called_for_each_window():
  """Sorted by resolution within a level; `done` counts all calls."""
  low, high, photo = _scene(520, 700)
  high[300:, 400:] += photo[300:, 400:, 1:2]  # Most edges are in the last windows.
  seen, done = [], []

  def predict(picture, size):
    return seen.append((picture.shape[:2], size)) or picture[..., :1]

  settings = Settings(predictor_size=_PREDICTOR_SIZE)
  fields = {'photo': photo, 'predictor': predict, 'settings': settings}
  two_stage.refine(low, high, refiners.mixing(0.5), **fields, done=lambda: done.append(1))
  assert len(seen) == 13 and len(done) == two_stage.calls(settings, predicts=True)
  assert len(done) == len(seen) + two_stage.calls(settings, predicts=False)
  for level, calls in ((1, seen[:4]), (2, seen[4:])):
    sizes = [size for _, size in calls]
    assert sizes == sorted(sizes) and len(set(sizes)) > 1
    assert {shape for shape, _ in calls} == {windows.grid((520, 700), level)[0][2:]}


_BAD = [
  ({'shape': (90, 23)}, 'a picture of 23 x 90 pixels cannot be divided .* and 24 x 24 pixels'),
  ({'settings': Settings(0)}, 'windows of 0 levels; at least 1 level'),
  ({'settings': Settings(input_size=64)}, 'the input size is 64'),
  ({'predictor': _predictor}, r'a predictor needs the photograph \[h w 3\]'),
  ({'predictor': _predictor, 'photo': np.zeros((90, 90, 3))}, 'needs settings.predictor_size'),
  ({'views': [refiners.smooth(9, 9)]}, 'there are 1 views; 2 levels have 13 windows'),
  ({'low': np.zeros((30, 30, 1))}, 'the low map is constant'),
  ({'low': 1 - refiners.smooth(30, 30)}, 'opposite polarity'),
]


@pytest.mark.parametrize('change, message', _BAD)
def test_invalid_arguments_are_refused(change, message):
  arguments = {'low': refiners.smooth(30, 30), 'high': refiners.smooth(90, 90), **change}
  with pytest.raises(ValueError, match=message):
    two_stage.refine(refiner=refiners.mixing(0), **arguments)


def test_constant_windows_and_constant_predictions_change_nothing():
  low = np.zeros((90, 90, 1), np.float32)
  low[:, 80:] = 1
  fields = {'settings': Settings(1, predictor_size=_PREDICTOR_SIZE)}
  fields |= {'photo': np.zeros((90, 90, 3)), 'predictor': lambda picture, _: 0 * picture[..., :1]}
  result = two_stage.refine(low, low, refiners.mixing(0.5), **fields)
  np.testing.assert_allclose(result[:, :40], 0, atol=1e-3)
