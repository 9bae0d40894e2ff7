"""Inputs, loss, metrics and pictures of the depth task, on hand-made scenes."""

import functools

import jax
import numpy as np

from depthjax import tasks
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import deeplens_depth
from depthjax.tasks.task import Env
from tests import tiny

_SIZE, _PAD = 32, 4


@functools.cache
def _task(**fields):
  env = Env(lambda function: functools.partial(jax.lax.map, function))
  return tasks.make(tiny.depth_config(data__pad=_PAD, **fields), env)


def _record(index=0, disparity=(0.6, 0.5, 0.4), alphas=(255, 255)):
  """Three flat layers of noise: front on the left third, middle on two thirds, background."""
  size = _SIZE + 2 * _PAD
  layers = np.random.default_rng(0).integers(30, 220, (3, size, size, 4), np.uint8)
  ends = np.array([_SIZE // 3, 2 * _SIZE // 3, _SIZE + _PAD])[:, None, None] + _PAD
  layers[..., 3] = np.where(np.arange(size) < ends, np.reshape([*alphas, 255], (3, 1, 1)), 0)
  planes = np.zeros((3, 3), np.float32)
  planes[:, 0] = disparity
  return {'layers': layers, 'planes': planes, 'index': np.uint32(index)}


@functools.cache
def _render():
  return jax.jit(functools.partial(_task().inputs, {}))


def _inputs(*records):
  """Rendered examples of two records."""
  batch = {name: np.stack([record[name] for record in records]) for name in records[0]}
  return jax.device_get(_render()(batch))


def _thirds(x):
  """Values of two examples in the left, middle and right third: [2 3]."""
  return x.reshape(2, _SIZE, _SIZE)[:, 5, [3, 15, 28]]


def test_inputs_are_image_disparity_foreground_and_index():
  inputs = _inputs(_record(), _record(7, (0.9, 0.9, 0.9), (255, 100)))
  assert [inputs[name].shape[3] for name in ('image', 'disparity', 'foreground')] == [3, 1, 1]
  layers = _record()['layers'][:, _PAD:-_PAD, _PAD:-_PAD, :3] / 255
  for i, column in enumerate((3, 15, 28)):
    np.testing.assert_allclose(inputs['image'][0, :, column], layers[i, :, column], atol=1e-4)
  # A constant disparity becomes 0; a layer with an alpha below 0.5 is not foreground.
  np.testing.assert_allclose(_thirds(inputs['disparity']), [[1, 0.5, 0], [0, 0, 0]], atol=1e-5)
  np.testing.assert_array_equal(_thirds(inputs['foreground']), [[1, 1, 0], [1, 0, 0]])
  np.testing.assert_array_equal(inputs['index'], [0, 7])
  # Two alphas of 0.4 cover 0.64 together.
  inputs = _inputs(_record(alphas=(102, 102)), _record(alphas=(102, 255)))
  np.testing.assert_array_equal(_thirds(inputs['foreground']), [[1, 0, 0], [1, 1, 0]])


def _terms(outputs, inputs, **fields):
  settings = {'segmentation': 0.5, 'mixed': True, **fields}
  return jax.device_get(deeplens_depth.terms(outputs, inputs, **settings))


def _middle(inputs):
  return np.abs(inputs['disparity'] - 0.5) < 0.01


def _outputs(inputs):
  """Disparity in other units, wrong by 0.2 in every other row of the middle; foreground by 0.2."""
  wrong = inputs['disparity'].copy()
  wrong[:, ::2] += 0.2 * _middle(inputs)[:, ::2]
  return {
    'disparity': 30 * wrong - 7,
    'segmentation': np.abs(inputs['foreground'] - 0.2).astype(np.float32),
  }


def test_the_loss_is_l1_of_normalised_disparity_and_of_the_foreground():
  inputs = _inputs(_record(), _record(1))
  fraction = _middle(inputs)[0].mean()
  assert 0.2 < fraction < 0.4
  terms = _terms(_outputs(inputs), inputs, mixed=False, segmentation=3.0)
  np.testing.assert_allclose(terms['depth'], 0.1 * fraction, rtol=1e-3)
  np.testing.assert_allclose(terms['segmentation'], 0.6, rtol=1e-4)


def test_examples_of_a_mixed_batch_have_one_term_each_with_the_same_mean():
  inputs = _inputs(_record(4), _record(9))
  both, mixed = (_terms(_outputs(inputs), inputs, mixed=mixed) for mixed in (False, True))
  np.testing.assert_array_equal(mixed['depth'] > 0, [True, False])
  np.testing.assert_array_equal(mixed['segmentation'] > 0, [False, True])
  for name in both:
    np.testing.assert_allclose(mixed[name].mean(), both[name].mean(), rtol=1e-5)


def test_without_a_segmentation_head_all_examples_have_the_depth_term():
  inputs = _inputs(_record(4), _record(9))
  outputs = _outputs(inputs)
  expected = _terms(outputs, inputs, mixed=False)['depth']
  outputs.pop('segmentation')
  terms = _terms(outputs, inputs)
  assert terms.keys() == {'depth'} and (expected > 0.01).all()
  np.testing.assert_array_equal(terms['depth'], expected)
  assert deeplens_depth.metrics(outputs, inputs).keys() == {'mae', 'mae_spline'}
  assert deeplens_depth.pictures(outputs, inputs)['depth'].shape == (2, _SIZE, 3 * _SIZE, 3)


def test_random_keys_of_examples_depend_on_seed_and_index_only(monkeypatch):
  inputs, keys = _inputs(_record(4), _record(9)), []

  def forward(model, variables, image, train, example_keys):
    assert train
    keys.append(jax.random.key_data(example_keys))
    return {'disparity': image[..., :1]}, {'batch_stats': 3}

  monkeypatch.setattr(deeplens_depth, 'forward', forward)
  for seed, order in ((5, np.s_[:]), (5, np.s_[::-1]), (5, np.s_[1:]), (6, np.s_[:])):
    part = {name: x[order] for name, x in inputs.items()}
    _, state = _task().loss({}, {}, part, jax.random.key(seed), 0)
    assert state == {'batch_stats': 3}
  np.testing.assert_array_equal(keys[1], keys[0][::-1])
  np.testing.assert_array_equal(keys[2], keys[0][1:])
  assert (keys[0][0] != keys[0][1]).any() and (keys[3] != keys[0]).any()


def test_only_mae_spline_ignores_a_monotonic_error():
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


def test_pictures_are_image_predictions_and_targets_side_by_side():
  inputs = _inputs(_record(), _record())
  outputs = _outputs(inputs)
  row = np.asarray(_task().pictures(outputs, inputs)['depth'])
  predicted = disparity_lib.normalise(outputs['disparity']), outputs['segmentation']
  expected = inputs['image'], predicted[0], inputs['disparity'], predicted[1], inputs['foreground']
  for cell, x in zip(np.split(row, 5, axis=2), expected, strict=True):
    np.testing.assert_allclose(cell, np.broadcast_to(x, cell.shape), atol=1e-6)
