"""The task tom: labels of scenes and of labelled records, metrics, predictors, refused fields."""

import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.models.predictors import runs
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import colour
from depthjax.tasks import scene, tom
from depthjax.tasks.task import Env
from tests.data import made
from tests.tasks import small

_RNG = np.random.default_rng(0)
_SIZE = (2, 32, 32, 1)


class _Mean:
  """A network whose output is the mean of the channels, times its variables."""

  def apply(self, variables, image, method):
    assert method == 'predict'
    return variables * image.mean(-1, keepdims=True)


class _Given:
  """A network whose variables are its output."""

  def apply(self, variables, image, method):
    assert method == 'predict' and image.shape[:3] == variables.shape[:3]
    return variables


_NETWORKS = {'predictor': Predictor('mean', _Mean(), 32), 'segmenter': Predictor('x', _Given(), 32)}
_FROZEN = {'predictor': 2.0}


def _env(*names):
  return Env(frozen={name: _NETWORKS[name] for name in names})


def _config(arg, **fields):
  config = configuring.load('tom', arg).unlock()
  config.model.network, config.model.width = 'depthnet', 2
  config.data.height = config.data.width = 32
  config.update_from_flattened_dict(fields)
  return config.lock()


def _records():
  """Masked in the left half of the first image."""
  mask = np.zeros(_SIZE, np.float32)
  mask[0, :, :16] = 1
  records = {'image': _RNG.integers(0, 256, (*_SIZE[:3], 3), np.uint8), 'tom': mask}
  records |= {'label': _RNG.random(_SIZE, np.float32), 'index': np.arange(2)}
  jitter = np.float32([[1.2, 0.5, 0.6, 0.7], [1, 1, 1, 1]])
  return records | {'jitter': jitter, 'colours': _RNG.random((2, 3, 3), np.float32)}


def _inputs(records, arg, *names, **frozen):
  task = tasks.make(_config(arg), _env(*names, *frozen))
  return jax.device_get(jax.jit(functools.partial(task.inputs, _FROZEN | frozen))(records))


def test_labels_are_made_before_colours_change():
  records = _records()
  image, mask = records['image'] / np.float32(255), records['tom']
  predicted = 2 * image.mean(-1, keepdims=True)
  painted = 2 * np.median(records['colours'].mean(-1), axis=1)[:, None, None, None]
  inputs = _inputs(records, 'midas,labels=virtual', 'predictor')
  np.testing.assert_allclose(inputs['label'], np.where(mask, painted, predicted), rtol=1e-5)
  np.testing.assert_allclose(inputs['image'], colour.jittered(image, records['jitter']), rtol=1e-5)
  np.testing.assert_allclose(inputs['image'][1], image[1], rtol=1e-5)
  assert set(inputs) == {'image', 'tom', 'index', 'label'}
  arg = 'midas,labels=virtual,masks=segmenter'
  other = _inputs(records, arg, 'predictor', segmenter=0.3 - 2 * mask)  # Logits.
  np.testing.assert_allclose(other['label'], np.where(mask, predicted, painted), rtol=1e-5)
  np.testing.assert_array_equal(other['tom'], mask)
  plain = _inputs(records, 'midas,labels=plain', 'predictor')
  np.testing.assert_allclose(plain['label'], predicted, rtol=1e-5)
  stored = _inputs(records, 'midas')
  np.testing.assert_array_equal(stored['label'], records['label'])


def test_scenes_have_naive_and_true_labels_and_true_disparity(monkeypatch):
  geometry = scene.geometry(_config('small').data)
  record = made.scene(3, height=32, width=32, pad=0, glass=0.5, mirror=0.5)
  record |= {'index': np.uint32(0), 'colours': np.zeros((2, 3), np.float32)}

  @jax.jit
  def render(record):
    return tom.render_example(record, geometry), scene.appearance(scene.unpack(record, geometry))

  seen, expected = jax.device_get(render(record))
  true, naive = expected.disparity, expected.naive
  np.testing.assert_array_equal(seen['disparity'], true)
  for name, x in (('true', true), ('naive', naive)):
    np.testing.assert_allclose(seen[name], (x - x.min()) / np.ptp(x), atol=1e-5)
  differ, inside = np.abs(naive - true) > 1e-3, seen['tom'] > 0
  assert 0 < inside.mean() < 1 and differ[inside].mean() > 0.5 > 2 * differ[~inside].mean()
  monkeypatch.setattr(tom, 'render_example', lambda record, geometry: record)
  for name in ('naive', 'true'):
    inputs = _inputs({x: v[None] for x, v in seen.items()}, f'small,labels={name}')
    np.testing.assert_array_equal(inputs['label'][0], seen[name])
    assert set(inputs) == {'image', 'tom', 'disparity', 'index', 'label'}


def test_errors_are_of_all_pixels_of_tom_and_of_others():
  records = _records()
  truth, mask = records['label'], records['tom']
  wrong = 3 + 2 * truth + 0.2 * mask * truth
  scores = tom.metrics(3 + 2 * truth, {'tom': mask, 'disparity': truth})
  np.testing.assert_allclose(scores['delta_1.05_all'].value, 100)
  np.testing.assert_array_equal(scores['mae_tom'].weight, [1, 0])
  assert tom.metrics(wrong, {'tom': mask, 'disparity': truth})['mae_tom'].value[0] > 0.01
  scores = tom.metrics(wrong, {'tom': mask, 'label': truth})
  assert scores['mae_tom'].value[0] > 1e-3 > scores['mae_other'].value[1]
  pictures = tom.pictures(wrong, {'image': records['image'], 'tom': mask, 'label': truth})
  assert pictures['depth'].shape == (2, 32, 4 * 32, 3)


def test_losses_are_those_of_the_config_and_batch_statistics_change(monkeypatch):
  monkeypatch.setattr(tom.runs, 'describe', small.describe)
  image, label = (_RNG.random((*_SIZE[:3], n), np.float32) for n in (3, 1))
  inputs, terms = {'image': image, 'label': label}, {}
  for name in ('squared', 'published'):
    task = tasks.make(_config('small', **{'loss.terms': name}), Env())
    variables = jax.jit(task.init)(jax.random.key(0), inputs)
    loss = jax.jit(functools.partial(task.loss, frozen={}, key=None, step=0))
    terms[name], state = jax.device_get(loss(variables, inputs=inputs))
    changed = jax.tree.map(
      lambda x, y: (x != y).all(), state, {'batch_stats': variables['batch_stats']}
    )
    assert all(jax.tree.leaves(changed))
  one, four = terms.values()
  assert one.keys() == {'squared'} and len(four) == 4
  np.testing.assert_allclose(one['squared'], 2 * four['squared'], rtol=1e-5)
  assert jax.eval_shape(task.apply, variables, inputs).shape == _SIZE


@pytest.mark.parametrize(
  'size, name, side, millions', [('small', 'unet', 64, 0.492), ('midas', 'midas', 384, 104.2)]
)
def test_a_run_is_a_predictor_at_the_size_of_its_frames(size, name, side, millions):
  predictor, shapes = runs.FROM_CONFIG['tom'](configuring.load('tom', size).to_dict())
  assert (predictor.name, predictor.input_size) == (name, side)
  count = sum(x.size for x in jax.tree.leaves(shapes['params']))
  assert count == pytest.approx(millions * 1e6, rel=1e-3)


@pytest.mark.parametrize(
  'arg, fields, words',
  [
    ('small', {'model.network': 'zoe'}, "model is not .* depthnet, unet, .*'zoe'"),
    ('small', {'data.kind': 'masked'}, "'masked'; it must be 'scene' or 'labelled' for the task"),
    ('small', {'data.width': 36}, 'data.width is 36; it must be a multiple of 8'),
    ('small', {'loss.terms': 'l1'}, "loss.terms is 'l1'; with task='tom' it can be published, sq"),
    ('small', {'loss.labels': 'stored'}, "loss.labels is 'stored'; with data.kind='scene' it can"),
    ('midas,labels=true', {'data.kind': 'labelled'}, "loss.labels is 'true'; .* stored, plain, vi"),
    ('small,masks=segmenter', {}, "loss.masks is 'segmenter'; .*labels='naive' it can be true$"),
    ('small,labels=virtual,masks=none', {}, "loss.masks is 'none'; .* it can be true, segmenter"),
    (
      'small,labels=plain',
      {},
      "predictor.weights is ''; it must be given with loss.labels='plain'",
    ),
    ('small,labels=virtual,masks=segmenter', {}, "predictor.weights is ''; .* loss.masks='segment"),
    ('midas', {'data.labelled.labels': ''}, "data.labelled.labels is ''; it must be a folder"),
  ],
)
def test_other_fields_are_refused(arg, fields, words):
  with pytest.raises(ValueError, match=words):
    tasks.make(_config(arg, **fields), Env())


def test_virtual_labels_need_colours_and_stored_ones_no_frozen_networks():
  with pytest.raises(ValueError, match='data.colours is 0; it must be at least 1 with loss.labels'):
    tasks.make(_config('small,labels=virtual', **{'data.colours': 0}), _env('predictor'))
  for arg, name in (('small', 'predictor'), ('midas', 'segmenter')):
    with pytest.raises(ValueError, match=f'{name}.weights is given; it must be empty with loss.la'):
      tasks.make(_config(arg), _env(name))
  with pytest.raises(ValueError, match='uses no frozen predictor; predictor.weights must be empty'):
    tasks.make(configuring.load('segment', 'smoke'), _env('predictor'))
