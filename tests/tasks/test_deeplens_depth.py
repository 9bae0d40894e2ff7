"""Inputs, loss, metrics and pictures of the depth task, on hand-made scenes."""

import functools

import jax
import numpy as np

from depthjax import tasks
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import deeplens_depth
from tests import tiny
from tests.tasks.layered import ENV, PAD, SIZE, batch, record, thirds


@functools.cache
def _task():
  return tasks.make(tiny.depth_config(data__pad=PAD), ENV)


@functools.cache
def _render():
  return jax.jit(functools.partial(_task().inputs, {}))


def _inputs(*records):
  return jax.device_get(_render()(batch(*records)))


def test_inputs_are_image_disparity_foreground_and_index():
  inputs = _inputs(record(), record((0.9, 0.9, 0.9), (255, 100), index=7))
  assert [inputs[name].shape[3] for name in ('image', 'disparity', 'foreground')] == [3, 1, 1]
  layers = record()['layers'][:, PAD:-PAD, PAD:-PAD, :3] / 255
  for i, column in enumerate((3, 15, 28)):
    np.testing.assert_allclose(inputs['image'][0, :, column], layers[i, :, column], atol=1e-4)
  # A constant disparity becomes 0; a layer with an alpha below 0.5 is not foreground.
  np.testing.assert_allclose(thirds(inputs['disparity']), [[1, 0.5, 0], [0, 0, 0]], atol=1e-5)
  np.testing.assert_array_equal(thirds(inputs['foreground']), [[1, 1, 0], [1, 0, 0]])
  np.testing.assert_array_equal(inputs['index'], [0, 7])
  # Two alphas of 0.4 cover 0.64 together.
  inputs = _inputs(record(alphas=(102, 102)), record(alphas=(102, 255)))
  np.testing.assert_array_equal(thirds(inputs['foreground']), [[1, 0, 0], [1, 1, 0]])


def _terms(outputs, inputs, mixed=True):
  return jax.device_get(deeplens_depth.terms(outputs, inputs, segmentation=3.0, mixed=mixed))


def _outputs(inputs):
  """Disparity in other units, wrong by 0.2 in every other row of the middle; foreground by 0.2."""
  wrong = inputs['disparity'].copy()
  wrong[:, ::2, SIZE // 3 : 2 * SIZE // 3] += 0.2
  foreground = np.abs(inputs['foreground'] - np.float32(0.2))
  return {'disparity': 30 * wrong - 7, 'segmentation': foreground}


def test_terms_are_l1_distances_and_each_example_of_a_mixed_batch_has_one_with_weight_2():
  inputs = _inputs(record(index=4), record(index=9))
  both, mixed = (_terms(_outputs(inputs), inputs, mixed) for mixed in (False, True))
  for name, term, weights in (('depth', 0.1 * 11 / 32, [2, 0]), ('segmentation', 0.6, [0, 2])):
    np.testing.assert_allclose(both[name], [term, term], rtol=1e-3)
    np.testing.assert_allclose(mixed[name], weights * both[name], rtol=1e-5)


def test_without_a_segmentation_head_all_examples_have_the_depth_term():
  inputs = _inputs(record(index=4), record(index=9))
  outputs = _outputs(inputs)
  expected = _terms(outputs, inputs, mixed=False)['depth']
  outputs.pop('segmentation')
  terms = _terms(outputs, inputs)
  assert terms.keys() == {'depth'} and (expected > 0.01).all()
  np.testing.assert_array_equal(terms['depth'], expected)
  assert deeplens_depth.metrics(outputs, inputs).keys() == {'mae', 'mae_spline'}
  assert deeplens_depth.pictures(outputs, inputs)['depth'].shape == (2, SIZE, 3 * SIZE, 3)


def test_random_keys_of_examples_depend_on_seed_and_index_only(monkeypatch):
  inputs, keys = _inputs(record(index=4), record(index=9)), []

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
  inputs = _inputs(record())
  right = {'disparity': 9 * inputs['disparity'], 'segmentation': inputs['foreground']}
  wrong = {'disparity': -inputs['disparity'], 'segmentation': 1 - inputs['foreground']}
  distance = np.abs(1 - 2 * inputs['disparity']).mean(axis=(1, 2, 3))
  for outputs, mae, iou in ((right, [0, 0], [1, 1]), (wrong, distance, [0, 0])):
    scores = {name: x.value for name, x in deeplens_depth.metrics(outputs, inputs).items()}
    np.testing.assert_allclose(scores['iou'], iou)
    np.testing.assert_allclose(scores['mae'], mae, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scores['mae_spline'], [0, 0], atol=1e-5)


def test_pictures_are_image_predictions_and_targets_side_by_side():
  inputs = _inputs(record())
  outputs = _outputs(inputs)
  cells = np.split(_task().pictures(outputs, inputs)['depth'], 5, axis=2)
  disparity = disparity_lib.normalise(outputs['disparity']), inputs['disparity']
  expected = inputs['image'], *disparity, outputs['segmentation'], inputs['foreground']
  for cell, x in zip(cells, expected, strict=True):
    np.testing.assert_allclose(cell, np.broadcast_to(x, cell.shape), atol=1e-6)
