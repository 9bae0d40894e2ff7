"""Metrics of transparent and mirror surfaces: hand-made cases, and a real sensor."""

import functools
import pathlib

import jax
import numpy as np
import pytest

from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.metrics import booster

_REAL = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'tom' / 'cleargrasp_real_d435'
_scores = jax.jit(booster.scores)
_RNG = np.random.default_rng(0)
_TRUTH = _RNG.uniform(0.5, 2, (3, 6, 8, 1)).astype(np.float32)
_PREDICTION = np.float32(3 * _TRUTH - 0.2 + 0.3 * _RNG.normal(size=_TRUTH.shape))
_VALID = np.float32(_RNG.random(_TRUTH.shape) < 0.8)
_TOM = np.float32(_RNG.random(_TRUTH.shape) < 0.3)


def _row(*values):
  return np.float32(values).reshape(1, 1, -1, 1)


def _values(found):
  assert all(x.weight.all() for x in found.values())
  return {name: x.value.item() for name, x in found.items()}


def test_errors_are_those_of_the_definition():
  found = _values(booster.errors(_row(100, 96, 112, 130), 100 * _row(1, 1, 1, 1), _row(1, 1, 1, 1)))
  assert tuple(found) == booster.METRICS
  assert [found[f'delta_1.{i:02}'] for i in (25, 20, 15, 10, 5)] == [75, 75, 75, 50, 50]
  assert found['mae'] == 11.5 and found['absrel'] == pytest.approx(0.115)
  assert found['rmse'] == pytest.approx(265**0.5)


def _twin(prediction, truth, valid, tom):
  """The protocol on one map, in float64 and with its normalisation to [0, 1]."""
  kept = valid > 0
  p, d, tom = (np.float64(x[kept]) for x in (prediction, truth, tom))
  p = (p - p.min()) / (p.max() - p.min())
  scale, shift = np.polyfit(p, d, 1)
  depth, g = np.clip(1000 / (scale * p + shift), 1, 1e4), 1000 / d
  for kind, mask in zip(booster.CLASSES, (d > 0, tom > 0, tom == 0), strict=True):
    error, ratio = (depth - g)[mask], np.maximum(depth / g, g / depth)[mask]
    yield f'rmse_{kind}', np.sqrt(np.mean(error**2))
    yield f'absrel_{kind}', np.mean(abs(error) / g[mask])
    yield f'delta_1.10_{kind}', 100 * np.mean(ratio < 1.1)


def test_one_line_is_fitted_to_all_valid_pixels_and_classes_are_means_of_their_pixels():
  marred = [np.where(_VALID > 0, x, np.nan) for x in (_PREDICTION, _TRUTH)]
  found = _scores(*marred, _VALID, _TOM, focal_baseline=1000)
  for i, maps in enumerate(zip(_PREDICTION, _TRUTH, _VALID, _TOM, strict=True)):
    for name, want in _twin(*maps):
      np.testing.assert_allclose(found[name].value[i], want, rtol=1e-4)


@pytest.fixture(name='measured')
def fixture_measured(monkeypatch):
  """The scores of a disparity that is in the unit of the truth, without fitting."""
  monkeypatch.setattr(booster.alignment, 'align', lambda prediction, *_: prediction)
  return jax.jit(functools.partial(booster.scores, focal_baseline=100))


def test_depth_of_the_prediction_is_clipped(measured):
  truth, ones = _row(1, 1, 1, 1, 0.01), _row(1, 1, 1, 1, 1)
  found = _values(measured(_row(-1, 0, 1e-9, 1e9, 0.01), truth, ones, _row(1, 0, 0, 1, 0)))
  # Depths of 1, 10,000, 10,000, 1 and 10,000 against 100 and 10,000.
  assert found['mae_tom'] == 99 and found['mae_other'] == pytest.approx(2 * 9900 / 3)
  assert found['delta_1.05_all'] == pytest.approx(20)


def test_truth_outside_the_range_is_not_valid(measured):
  truth = _row(1, 0.5, 0.25, 0, -1, np.nan, 0.00999, 101)
  prediction = _row(1, 0.5, 0.5, 7, 7, 7, 7, 7)
  found = measured(prediction, truth, 0 * truth + 1, 0 * truth)
  assert found['mae_all'].value == pytest.approx(200 / 3)


def test_truth_outside_the_range_does_not_count_in_the_fit():
  truth = _row(1, 0.5, 0, -1, np.nan, 0.00999, 101)
  prediction = _row(1, 0, 7, 7, 7, 7, 7)
  found = _scores(prediction, truth, 0 * truth + 1, 0 * prediction, focal_baseline=100)
  assert found['mae_all'].value < 1e-3


def test_an_image_without_pixels_of_a_class_has_weight_0_and_nan_stays():
  tom = _TOM * np.float32([0, 1, 1])[:, None, None, None]
  broken = _PREDICTION.copy()
  broken[2, np.nonzero(_VALID[2] * _TOM[2])[0][0]] = np.nan
  for prediction in (_PREDICTION, broken):
    found = _scores(prediction, _TRUTH, _VALID, tom)
    for name, score in found.items():
      assert list(score.weight) == [0 if name.endswith('_tom') else 1, 1, 1]
      assert np.isfinite(score.value[:2]).all()
      if name.endswith('_tom'):
        assert np.isnan(score.value[2]) == (prediction is broken)


@pytest.mark.parametrize('scene, delta, mae', [('080', 29.96, 50.08), ('123', 87.53, 16.12)])
def test_raw_depth_of_a_sensor_on_transparent_objects(scene, delta, mae):
  """With ratios in float16, the type of the files, delta_1.05 would be 29.66 and 86.87 %.

  The ratio is 1.05, but for rounding, at 0.03 % of the pixels.
  """
  if not _REAL.is_dir():
    pytest.skip(f'no real data: there is no folder {_REAL}')
  pytest.importorskip('OpenEXR')
  read = lambda kind: depth_files.read_raw(_REAL / f'{scene}-{kind}-depth-img.exr')  # noqa: E731
  raw, truth = read('transparent'), read('opaque')
  tom = np.float32(images.read_pixels(_REAL / f'{scene}-mask.png') > 0)
  valid = np.float32((raw > 0) & (truth > 0))
  maps = [x[None, ..., None] for x in (raw * 1000, truth * 1000, valid, tom)]
  found = booster.by_class(*maps)
  assert found['delta_1.05_tom'].value == pytest.approx(delta, abs=0.03)
  assert found['mae_tom'].value == pytest.approx(mae, abs=0.01)
