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
  result = two_stage.refine(
    8 * low - 3, high, refiners.mixing(0, 0.1, 2), shape=shape, settings=Settings(levels)
  )
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


def test_refinement_is_equivariant_to_the_units_of_the_low_map():
  low, high, _ = _scene(120, 90)
  plain = two_stage.refine(low, high, refiners.mixing(0.5))
  scaled = two_stage.refine(50 * low + 400, high, refiners.mixing(0.5))
  np.testing.assert_allclose((scaled - 400) / 50, plain, atol=1e-4)


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

  assert error(True) < 0.01 < 0.03 < error(True, views=views)
  assert error(True, views=views) < error(False, views=views)
  np.testing.assert_allclose(error(False), error(False, views=views), rtol=1e-5)


@pytest.mark.parametrize('local', [False, True])
@pytest.mark.parametrize('predictor', [None, _predictor])
def test_windows_add_detail_beyond_the_input_size(predictor, local):
  """Waves of 6 pixels in 600: an input size of 128 represents them in windows only."""
  low, high, photo = _scene(600, 600)
  single = refine.refine(low, high, refiners.mixing(1), input_size=128, local=False)
  settings = Settings(3, input_size=128, local=local, predictor_size=_PREDICTOR_SIZE)
  refined = two_stage.refine(
    low, high, refiners.mixing(1), photo=photo, predictor=predictor, settings=settings
  )
  detail = (high - refiners.smooth(600, 600))[60:-60, 60:-60]

  def waves(x):
    return float((x[60:-60, 60:-60] * detail).mean() / (detail**2).mean())

  assert abs(waves(single)) < 0.05 < 0.3 < waves(refined)


@pytest.mark.parametrize(
  'levels, adaptive, alpha', [(2, False, None), (2, True, None), (3, True, 0.02)]
)
def test_the_predictor_is_called_for_each_window(levels, adaptive, alpha):
  """First at its own size for Eq. 11, then sorted by resolution; `done` counts all calls."""
  low, high, photo = _scene(260, 350)
  seen, done, size = [], [], _PREDICTOR_SIZE

  def predict(picture, resolution):
    seen.append((picture.shape, resolution))
    return picture[..., :1]

  settings = Settings(levels, adaptive, alpha, predictor_size=size)
  two_stage.refine(
    low,
    high,
    refiners.mixing(0.5),
    photo=photo,
    predictor=predict,
    settings=settings,
    done=lambda: done.append(1),
  )
  assert len(done) == two_stage.calls(settings, predicts=True)
  assert len(done) == len(seen) + two_stage.calls(settings, predicts=False)
  if adaptive and alpha is None:
    assert seen.pop(0) == (photo.shape, size)
  for level in range(1, levels + 1):
    found = windows.grid((260, 350), level)
    if adaptive:
      assert [at for _, at in seen[: len(found)]] == [size] * len(found)
      del seen[: len(found)]
    calls, seen = seen[: len(found)], seen[len(found) :]
    assert [at for _, at in calls] == sorted(at for _, at in calls)
    assert {shape[:2] for shape, _ in calls} == {(found[0].height, found[0].width)}
    assert all(at % 32 == 0 and at >= size for _, at in calls)
  assert not seen


@pytest.mark.parametrize(
  'change, message',
  [
    ({'shape': (90, 23)}, 'a picture of 23 x 90 pixels cannot be divided .* and 24 x 24 pixels'),
    ({'settings': Settings(0)}, 'windows of 0 levels; at least 1 level'),
    ({'settings': Settings(input_size=64)}, 'the input size is 64'),
    ({'predictor': _predictor}, r'a predictor needs the photograph \[h w 3\]'),
    (
      {'predictor': _predictor, 'photo': np.zeros((90, 90, 3))},
      'a predictor needs settings.predictor_size',
    ),
    ({'views': [refiners.smooth(9, 9)]}, 'there are 1 views; 2 levels have 13 windows'),
    ({'low': np.zeros((30, 30, 1))}, 'the low map is constant'),
    ({'low': 1 - refiners.smooth(30, 30)}, 'opposite polarity'),
  ],
)
def test_invalid_arguments_are_refused(change, message):
  arguments = {'low': refiners.smooth(30, 30), 'high': refiners.smooth(90, 90), **change}
  with pytest.raises(ValueError, match=message):
    two_stage.refine(refiner=refiners.mixing(0), **arguments)


def test_constant_windows_and_constant_predictions_change_nothing():
  low = np.zeros((90, 90, 1), np.float32)
  low[:, 80:] = 1
  result = two_stage.refine(
    low,
    low,
    refiners.mixing(0.5),
    photo=np.zeros((90, 90, 3), np.float32),
    predictor=lambda picture, _: 0 * picture[..., :1],
    settings=Settings(1, predictor_size=_PREDICTOR_SIZE),
  )
  np.testing.assert_allclose(result[:, :40], 0, atol=1e-3)
