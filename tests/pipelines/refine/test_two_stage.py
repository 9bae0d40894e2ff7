"""Refinement from coarse to fine: windows of a level as one batch are windows one after another."""

import cv2
import numpy as np
import pytest

from depthjax import windows
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import refiners


def _scene(h, w):
  """A blurred map, a sharp one with detail and errors of its own, and a photograph."""
  rng = np.random.default_rng(0)
  detail = 0.2 * np.sin(np.arange(w, dtype=np.float32))[None, :, None]
  low, high = refiners.smooth(h // 3, w // 3), refiners.smooth(h, w) + detail
  photo = np.concatenate([high, rng.random((h, w, 2), np.float32)], axis=-1)
  return low, high, photo


_SIDE = 64  # That the predictors here were trained at.


def _predictor(picture, resolution):
  """It sees the photograph's first channel as disparity, and the finer, its second."""
  return 3 + 2 * picture[..., :1] + resolution / 500 * picture[..., 1:2]


@pytest.mark.parametrize('shape', [(131, 97), (75, 200), (64, 64)])
@pytest.mark.parametrize('levels', [1, 3])
def test_what_the_network_keeps_is_kept(shape, levels):
  low, high, _ = _scene(*shape)
  result = two_stage.refine(
    8 * low - 3, high, refiners.mixing(0, 0.1, 2), shape=shape, settings=Settings(levels)
  )
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  np.testing.assert_allclose(result, 8 * refiners.smooth(*shape) - 3, atol=0.12)


def _one_after_another(low, high, photo, refiner, predictor, levels):
  """Two stages as the paper tells them: each window refined and blended before the next."""
  unit = maps.unit(low, '')
  current = refine.refine(unit.values, high, refiner, shape=photo.shape[:2], side=refiner.side)
  square = (refiner.side,) * 2
  for level in range(1, levels + 1):
    found = windows.grid(photo.shape[:2], level)
    wanted = resolutions.by_edges(current, found, _SIDE)
    before = current.copy()
    for window, resolution in zip(found, wanted, strict=True):
      old = before[window.slices]
      sharp = predictor(photo[window.slices], resolution)
      pair = (maps.resized(x, square)[None] for x in (old, sharp))
      new = maps.resized(next(refine.fuse(refiner, *pair)), old.shape[:2], cv2.INTER_CUBIC)
      weights = windows.feather(old.shape[:2])[..., None]
      current[window.slices] = current[window.slices] * (1 - weights) + weights * new
  return unit.restored(current)


@pytest.mark.parametrize('chunk', [1, 2])
def test_windows_as_a_batch_are_windows_one_after_another(chunk):
  """By the real network, in chunks of 1 and of 2, which 9 windows do not fill."""
  low, high, photo = _scene(128, 111)
  expected = _one_after_another(low, high, photo, refiners.tiny(), _predictor, 2)
  arguments = {
    'photo': photo,
    'predictor': _predictor,
    'settings': Settings(chunk=chunk, side=128, input_size=_SIDE),
  }
  result = two_stage.refine(low, high, refiners.tiny(), **arguments)
  np.testing.assert_allclose(result, expected, atol=1e-3)
  assert np.abs(result - refine.refine(low, high, refiners.tiny(), side=128)).max() > 0.02


def test_units_of_the_low_map_pass_through():
  low, high, _ = _scene(120, 90)
  plain = two_stage.refine(low, high, refiners.mixing(0.5))
  scaled = two_stage.refine(50 * low + 400, high, refiners.mixing(0.5))
  np.testing.assert_allclose((scaled - 400) / 50, plain, atol=1e-4)


@pytest.mark.parametrize('nearest', [False, True])
def test_the_authors_way_of_resizing_is_an_option(monkeypatch, nearest):
  """Of windows of the disparity so far, which here is the rough map that it starts from."""
  rough = np.random.default_rng(0).random((300, 300, 1), np.float32)
  shown = []

  def fuse(refiner, low, high, chunk=None, ensemble=1):
    del refiner, high, chunk, ensemble
    shown.append(low)
    yield from low

  monkeypatch.setattr(refine, 'refine', lambda *_, **__: rough)
  monkeypatch.setattr(refine, 'fuse', fuse)
  settings = Settings(1, nearest=nearest, side=128)
  two_stage.refine(rough, rough, refiners.mixing(0), settings=settings)
  assert shown[0].shape == (4, 128, 128, 1)
  assert np.isin(shown[0], rough).all() == nearest


def test_windows_have_squares_of_their_own_size():
  """Of 200 pixels the halves have 112; and a network of 2048 sees 1024 in two stages."""
  seen, model = [], refiners.mixing(0).model

  class Remember:
    def apply(self, variables, low, high, **options):
      seen.append(low.shape[1])
      return model.apply(variables, low, high, **options)

  low = refiners.smooth(200, 200)
  two_stage.refine(low, low, refine.Refiner(Remember(), {}, 128), settings=Settings(1))
  assert seen == [640, 384]
  larger = refiners.mixing(0)._replace(side=2048)
  assert two_stage.side_of(larger, (200, 200), Settings()) == 1024


def test_places_have_the_values_of_the_low_map_unless_windows_know_more():
  """By a network that keeps to a drifting sharp map; views of windows are not in that map."""
  low = refiners.smooth(120, 160)
  high = low + 0.3 * np.sin(np.linspace(0, 9, 160, dtype=np.float32))[:, None]
  views = [high[window.slices] for window in windows.grid((120, 160), 1)]

  def error(local, **fields):
    settings = Settings(1, side=128, local=local)
    result = two_stage.refine(low, high, refiners.mixing(1), settings=settings, **fields)
    return abs(result - low).mean()

  assert error(True) < 0.01 < 0.03 < error(True, views=views)
  assert error(True, views=views) < error(False, views=views)
  np.testing.assert_allclose(error(False), error(False, views=views), rtol=1e-5)


@pytest.mark.parametrize('local', [False, True])
@pytest.mark.parametrize('predictor', [None, _predictor])
def test_windows_bring_detail_that_the_whole_picture_lost(predictor, local):
  """Waves of 6 pixels in 600: the network's 128 cannot hold them, its windows can."""
  low, high, photo = _scene(600, 600)
  whole = refine.refine(low, high, refiners.mixing(1), side=128, local=False)
  settings = Settings(3, side=128, local=local, input_size=_SIDE)
  refined = two_stage.refine(
    low, high, refiners.mixing(1), photo=photo, predictor=predictor, settings=settings
  )
  detail = (high - refiners.smooth(600, 600))[60:-60, 60:-60]

  def waves(x):
    return float((x[60:-60, 60:-60] * detail).mean() / (detail**2).mean())

  assert abs(waves(whole)) < 0.05 < 0.3 < waves(refined)


@pytest.mark.parametrize(
  'levels, adaptive, alpha', [(1, False, None), (2, False, None), (2, True, None), (3, True, 0.02)]
)
def test_the_predictor_is_asked_about_each_window(levels, adaptive, alpha):
  """At its own resolution for Eq. 11, then resolution by resolution; `done` tells of every call."""
  low, high, photo = _scene(260, 350)
  seen, done, side = [], [], _SIDE

  def predict(picture, resolution):
    seen.append((picture.shape, resolution))
    return picture[..., :1]

  settings = Settings(levels, adaptive, alpha, input_size=side)
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
    assert seen.pop(0) == (photo.shape, side)
  for level in range(1, levels + 1):
    found = windows.grid((260, 350), level)
    if adaptive:
      assert [at for _, at in seen[: len(found)]] == [side] * len(found)
      del seen[: len(found)]
    asked, seen = seen[: len(found)], seen[len(found) :]
    assert [at for _, at in asked] == sorted(at for _, at in asked)
    assert {shape[:2] for shape, _ in asked} == {(found[0].height, found[0].width)}
    assert all(at % 32 == 0 and at >= side for _, at in asked)
  assert not seen


def test_a_depth_net_looks_as_finely_as_it_is_asked(monkeypatch):
  asked = []
  monkeypatch.setattr(depth_lib, 'predict', lambda photo, *rest: asked.append(rest))
  two_stage.of_predictor('net')(np.zeros((4, 4, 3)), 800)
  assert asked == [('net', 800)]


@pytest.mark.parametrize(
  'change, message',
  [
    ({'shape': (1, 90)}, 'a picture of 90 x 1 pixels cannot be cut into windows of 2 levels'),
    ({'shape': (90, 23)}, 'a picture of 23 x 90 pixels cannot .* and 24 pixels a side'),
    ({'settings': Settings(0)}, 'windows of 0 levels; at least one level'),
    ({'settings': Settings(side=64)}, 'the side is 64 pixels'),
    ({'predictor': _predictor}, r'a predictor needs the photograph \[h w 3\]'),
    (
      {'predictor': _predictor, 'photo': np.zeros((90, 90, 3))},
      'a predictor needs settings.input_size',
    ),
    ({'low': np.zeros((30, 30, 1))}, 'the low map is constant'),
    ({'low': 1 - refiners.smooth(30, 30)}, 'run against each other'),
  ],
)
def test_what_cannot_be_refined_is_refused(change, message):
  arguments = {'low': refiners.smooth(30, 30), 'high': refiners.smooth(90, 90), **change}
  with pytest.raises(ValueError, match=message):
    two_stage.refine(refiner=refiners.mixing(0), **arguments)


def test_windows_without_depth_stay_as_they_are():
  """A constant window, and a predictor that sees nothing, change nothing."""
  low = np.zeros((90, 90, 1), np.float32)
  low[:, 80:] = 1
  settings = Settings(1, input_size=_SIDE)
  photo = np.zeros((90, 90, 3), np.float32)
  result = two_stage.refine(
    low,
    low,
    refiners.mixing(0.5),
    photo=photo,
    predictor=lambda picture, _: 0 * picture[..., :1],
    settings=settings,
  )
  assert np.isfinite(result).all()
  np.testing.assert_allclose(result[:, :40], 0, atol=1e-3)
