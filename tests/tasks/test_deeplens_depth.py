"""The depth task's inputs, loss, metrics and pictures on scenes drawn by hand, and its training."""

import functools

import jax
import numpy as np
import pytest

from depthjax import tasks
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import deeplens_depth
from depthjax.tasks.task import Env
from tests import tiny

_SIZE, _PAD = 32, 4
_DISPARITY = (0.6, 0.5, 0.4)  # Of the front, the middle and the background.


def _each(function):
  return functools.partial(jax.lax.map, function)


@functools.cache
def _task(**fields):
  return tasks.make(tiny.depth_config(data__pad=_PAD, **fields), Env(_each))


def _record(index=0, disparity=_DISPARITY, covers=(255, 255)):
  """Three flat layers of noise, the front on the left third, the middle on the left two thirds."""
  rng = np.random.default_rng(0)
  size = _SIZE + 2 * _PAD
  layers = rng.integers(30, 220, (3, size, size, 4), np.uint8)
  column = np.arange(size) - _PAD
  silhouettes = [column < _SIZE // 3, column < 2 * _SIZE // 3, column < 1000]
  layers[..., 3] = np.stack(silhouettes)[:, None] * np.array([*covers, 255])[:, None, None]
  planes = np.zeros((3, 3), np.float32)
  planes[:, 0] = disparity
  return {'layers': layers, 'planes': planes, 'index': np.uint32(index)}


@functools.cache
def _rendering():
  return jax.jit(functools.partial(_task().inputs, {}))


def _inputs(*records):
  """Rendered examples of two records: one compilation."""
  batch = {name: np.stack([record[name] for record in records]) for name in records[0]}
  return jax.device_get(_rendering()(batch))


def _thirds(x):
  return x.reshape(2, _SIZE, _SIZE)[:, 5, [3, 15, 28]]


def test_inputs_are_the_composite_its_disparity_and_its_foreground():
  inputs = _inputs(_record(), _record(7, (0.9, 0.9, 0.9), (255, 100)))
  assert {name: x.shape for name, x in inputs.items()} == {
    'image': (2, _SIZE, _SIZE, 3),
    'disparity': (2, _SIZE, _SIZE, 1),
    'foreground': (2, _SIZE, _SIZE, 1),
    'index': (2,),
  }
  layers = _record()['layers'][:, _PAD:-_PAD, _PAD:-_PAD, :3] / 255
  for i, column in enumerate((3, 15, 28)):
    np.testing.assert_allclose(inputs['image'][0, :, column], layers[i, :, column], atol=1e-4)
  # A scene without relief is zero everywhere; what covers less than half is no foreground.
  np.testing.assert_allclose(_thirds(inputs['disparity']), [[1, 0.5, 0], [0, 0, 0]], atol=1e-5)
  np.testing.assert_array_equal(_thirds(inputs['foreground']), [[1, 1, 0], [1, 0, 0]])
  np.testing.assert_array_equal(inputs['index'], [0, 7])


def test_thin_layers_together_are_foreground():
  """The union of two covers of 0.4 is 0.64."""
  inputs = _inputs(_record(covers=(102, 102)), _record(covers=(102, 255)))
  np.testing.assert_array_equal(_thirds(inputs['foreground']), [[1, 0, 0], [1, 1, 0]])


def _terms(outputs, inputs, **fields):
  settings = {'segmentation': 0.5, 'mixed': True, **fields}
  return jax.device_get(deeplens_depth.terms(outputs, inputs, **settings))


def _middle(inputs):
  return np.abs(inputs['disparity'] - 0.5) < 0.01


def _guesses(inputs):
  """Disparity off by 0.2 in every other row of the middle, in other units; foreground by 0.2."""
  wrong = inputs['disparity'].copy()
  wrong[:, ::2] += 0.2 * _middle(inputs)[:, ::2]
  return {
    'disparity': 30 * wrong - 7,
    'segmentation': np.abs(inputs['foreground'] - 0.2).astype(np.float32),
  }


def test_the_loss_compares_normalised_disparity_and_the_foreground():
  inputs = _inputs(_record(), _record(1))
  share = _middle(inputs)[0].mean()
  assert 0.2 < share < 0.4
  terms = _terms(_guesses(inputs), inputs, mixed=False, segmentation=3.0)
  np.testing.assert_allclose(terms['depth'], 0.1 * share, rtol=1e-3)
  np.testing.assert_allclose(terms['segmentation'], 0.6, rtol=1e-4)


def test_half_of_a_mixed_batch_is_for_depth_and_half_for_the_foreground():
  inputs = _inputs(_record(4), _record(9))
  whole, mixed = (_terms(_guesses(inputs), inputs, mixed=mixed) for mixed in (False, True))
  for even, odd, full in zip(mixed['depth'], mixed['segmentation'], [2, 0], strict=True):
    assert (even == 0) == (full == 0) and (odd == 0) == (full == 2)
  for name in whole:
    np.testing.assert_allclose(mixed[name].mean(), whole[name].mean(), rtol=1e-5)


def test_without_a_segmentation_head_all_examples_are_for_depth():
  inputs = _inputs(_record(4), _record(9))
  guesses = _guesses(inputs)
  expected = _terms(guesses, inputs, mixed=False)['depth']
  guesses.pop('segmentation')
  terms = _terms(guesses, inputs)
  assert terms.keys() == {'depth'} and (expected > 0.01).all()
  np.testing.assert_array_equal(terms['depth'], expected)
  assert deeplens_depth.metrics(guesses, inputs).keys() == {'mae', 'mae_spline'}
  assert deeplens_depth.pictures(guesses, inputs)['depth'].shape == (2, _SIZE, 3 * _SIZE, 3)


def test_the_loss_hands_each_example_its_own_key(monkeypatch):
  """Whatever the batch around it and the device it is on."""
  inputs, seen = _inputs(_record(4), _record(9)), []

  def forward(model, variables, image, train, keys):
    assert train
    seen.append(jax.random.key_data(keys))
    return {'disparity': image[..., :1]}, {'batch_stats': 3}

  monkeypatch.setattr(deeplens_depth, 'forward', forward)
  key = jax.random.key(5)
  for order in (slice(None), slice(None, None, -1), slice(1, 2)):
    part = {name: x[order] for name, x in inputs.items()}
    _, state = _task().loss({}, {}, part, key, 0)
  assert state == {'batch_stats': 3}
  np.testing.assert_array_equal(seen[1], seen[0][::-1])
  np.testing.assert_array_equal(seen[2], seen[0][1:])
  assert (seen[0][0] != seen[0][1]).any()
  _task().loss({}, {}, inputs, jax.random.key(6), 0)
  assert (seen[3] != seen[0]).any()


def test_metrics_forgive_what_a_spline_mends_and_nothing_else():
  inputs = _inputs(_record(), _record())
  right = {'disparity': 9 * inputs['disparity'], 'segmentation': inputs['foreground']}
  wrong = {'disparity': -inputs['disparity'], 'segmentation': 1 - inputs['foreground']}
  scores = [jax.device_get(deeplens_depth.metrics(outputs, inputs)) for outputs in (right, wrong)]
  assert all(x.shape == (2,) for score in scores for x in score.values())
  np.testing.assert_allclose(scores[0]['iou'], 1)
  np.testing.assert_allclose(scores[1]['iou'], 0)
  np.testing.assert_allclose(scores[0]['mae'], 0, atol=1e-5)
  expected = np.abs(1 - 2 * inputs['disparity']).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(scores[1]['mae'], expected, rtol=1e-4)
  for score in scores:
    np.testing.assert_allclose(score['mae_spline'], 0, atol=1e-5)


def test_pictures_are_rows_of_five_in_range():
  inputs = _inputs(_record(), _record())
  row = np.asarray(_task().pictures(_guesses(inputs), inputs)['depth'])
  assert row.shape == (2, _SIZE, 5 * _SIZE, 3) and row.min() >= 0 and row.max() <= 1
  cells = np.split(row, 5, axis=2)
  np.testing.assert_array_equal(cells[0], inputs['image'])
  guess = disparity_lib.normalise(_guesses(inputs)['disparity'])
  for cell, x in zip(
    cells[1:],
    (guess, inputs['disparity'], _guesses(inputs)['segmentation'], inputs['foreground']),
    strict=True,
  ):
    np.testing.assert_allclose(cell, np.broadcast_to(x, cell.shape), atol=1e-6)


def test_a_frame_that_the_network_cannot_take_is_refused():
  with pytest.raises(ValueError, match='data.width is 36; it must be a multiple of 8'):
    _task(data__width=36)
