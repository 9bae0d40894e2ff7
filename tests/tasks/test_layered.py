"""The task of layered refinement: inputs of both stages, terms, metrics, refused fields."""

import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.tasks import layered
from depthjax.tasks.task import Env

_H, _W = 32, 64


def _config(arg='smoke', **fields):
  config = configuring.load('layered', arg).unlock()
  config.data.height, config.data.width = _H, _W
  config.update_from_flattened_dict(fields)
  return config.lock()


def _records():
  """A near layer in the left half of the picture, before a ramp."""
  rng, size = np.random.default_rng(0), (2, _H, _W, 1)
  matte = np.zeros(size, np.float32)
  matte[:, :, : _W // 2] = 1
  rest = np.broadcast_to(np.linspace(0, 0.4, _W, dtype=np.float32)[:, None], size)
  records = {'image': rng.integers(0, 256, (*size[:3], 3), np.uint8), 'index': np.arange(2)}
  records |= {'seen': rng.random(size, np.float32), 'mask': matte, 'matte': matte}
  records |= {'target': np.full(size, 0.8, np.float32), 'rest': rest}
  records['seen'] = np.where(matte, 0.8, rest) + 0.6 * (records['seen'] - 0.5)
  return records | {name: np.ones(size, np.float32) for name in ('target_valid', 'rest_valid')}


@functools.cache
def _inputs():
  return jax.device_get(_task().inputs({}, _records()))


@functools.cache
def _task(start=0):
  return tasks.make(_config(**{'loss.start': start}), Env())


def test_the_network_completes_before_the_start_and_refines_afterwards(monkeypatch):
  seen = []

  def forward(model, variables, image, disparity, mask, train, keys):
    seen.append(disparity)
    return (mask, mask), {}

  monkeypatch.setattr(layered, 'forward', forward)
  loss = functools.partial(_task(3).loss, {}, {}, _inputs(), jax.random.key(0))
  for step in (2, 3):
    terms, state = loss(step)
    assert set(terms) == {'target', 'rest', 'composite'} and state == {}
  completing, refining = map(np.asarray, seen)
  left = np.arange(_W) < _W // 2
  expected = np.where(left, [[0.8], [0]], np.stack([0 * left, np.linspace(0, 0.4, _W)]))
  np.testing.assert_allclose(completing[0, 0].T, expected, atol=1e-6)
  np.testing.assert_array_equal(refining, np.repeat(_inputs()['seen'], 2, axis=-1))


def test_perfect_layers_have_no_loss_and_no_error():
  inputs = _inputs()
  perfect = layered.outputs((inputs['target'], inputs['rest']), inputs)
  terms = layered.terms(perfect, inputs, gradient=0.5, hidden=0.5, edge=2.0, blended=0.5)
  assert max(x.max() for x in terms.values()) < 1e-6
  scores = _task().scores(perfect, inputs)
  for name in ('rmse', 'mbe', 'rmse_outside', 'rmse_behind'):
    np.testing.assert_allclose(scores[name].value, 0, atol=1e-5)
  assert (scores['mbe_seen'].value > 0.1).all()
  assert (scores['improved'].value > scores['harmed'].value).all()


def test_errors_behind_and_along_the_border_have_their_weights():
  inputs, fields = _inputs(), {'gradient': 0.0, 'blended': 0.0}
  wrong = {'target': inputs['target'] + 1.0, 'rest': inputs['rest'], 'blended': inputs['rest']}
  plain = layered.terms(wrong, inputs, hidden=1.0, edge=1.0, **fields)
  np.testing.assert_allclose(plain['target'], 2, rtol=1e-5)  # |e| + e².
  wrong['target'] = inputs['target'] + (1 - inputs['matte'])  # Where it is hidden alone.
  terms = layered.terms(wrong, inputs, hidden=0.5, edge=1.0, **fields)
  hidden, border = 31, 2  # Columns of the right half, outside of the band, and of the band.
  expected = 2 * (0.5 * hidden + border / 2) / (0.5 * hidden + 31 + border)
  np.testing.assert_allclose(terms['target'], expected, rtol=1e-5)
  assert (terms['rest'] == 0).all() and (terms['composite'] == 0).all()


def test_without_layers_the_first_output_is_the_visible_disparity(monkeypatch):
  true, wrong = layered.truth(_inputs())[0], _inputs()['seen'] + 1
  monkeypatch.setattr(layered, 'forward', lambda *_: ((true, wrong), {}))
  monkeypatch.setattr(layered.layered.Layered, 'apply', lambda *_: (true, wrong))
  task = tasks.make(_config(**{'loss.layers': False}), Env())
  inputs = task.inputs({}, _records())
  terms, _ = task.loss({}, {}, inputs, jax.random.key(0), 0)
  assert max(x.max() for x in terms.values()) < 1e-6
  np.testing.assert_array_equal(task.apply({}, inputs)['composite'], true)


def test_pictures_are_in_a_row():
  inputs = _inputs()
  predicted = layered.outputs((inputs['target'], inputs['rest']), inputs)
  assert _task().pictures(predicted, inputs)['layers'].shape == (2, _H, 7 * _W, 3)


@pytest.mark.parametrize('stage, start, steps', [('both', 20, 60), ('completion', 20, 20)])
def test_stages_have_their_steps(stage, start, steps):
  config = configuring.load('layered', f'smoke,stage={stage}')
  assert (config.loss.start, config.steps) == (start, steps)
  refinement = configuring.load('layered', 'smoke,stage=refinement')
  assert (refinement.loss.start, refinement.steps) == (0, 40)


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'data.height': 48}, 'data.height is 48; it must be a multiple of 32'),
    ({'model.preset': 'mit_b9'}, "model.preset must be one of mit_b3, .*'mit_b9'"),
    ({'data.kind': 'scene'}, "data.kind is 'scene'; it must be 'masked'"),
  ],
)
def test_other_fields_are_refused(fields, words):
  with pytest.raises(ValueError, match=words):
    tasks.make(_config(**fields), Env())
