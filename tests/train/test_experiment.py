"""Frozen networks of an experiment: checked when it is built, arguments of its step."""

import contextlib
import itertools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.predictors import segmenter
from depthjax.tasks import dof
from depthjax.tasks.task import Task
from depthjax.train import experiment as experiment_lib
from tests import tiny, toy


def _save(folder, change=lambda metadata: None, **fields):
  """Writes weights of a depth network with the metadata of a run, modified by `change`."""
  config = tiny.depth_config(**fields).to_dict()
  _, shapes = tasks.PREDICTORS['deeplens_depth'](config)
  metadata = {'task': 'deeplens_depth', 'step': 1, 'config': config}
  change(metadata)
  rng = np.random.default_rng(0)
  low = lambda x: -0.2 if x.ndim == 4 else 0.1  # Of kernels, or else.  # noqa: E731
  variables = jax.tree.map(
    lambda x: rng.uniform(low(x), low(x) + 0.4, x.shape).astype('f4'), shapes
  )
  return weights.save_weights(folder, variables, metadata)


def _predicted(path):
  return {'render__disparity': 'predicted', 'predictor__weights': str(path)}


@pytest.mark.parametrize(
  'change, message',
  [
    (lambda metadata: metadata['config']['model'].update(width=4), 'holds other arrays than'),
    (lambda metadata: metadata['config']['model'].update(depth=3), "argument 'depth'"),
    (lambda metadata: metadata.pop('config'), "does not describe its network .*'config'"),
    (lambda metadata: metadata.update(task='lensblur'), "weights of the task 'lensblur'"),
  ],
)
def test_weights_of_no_depth_predictor_are_refused(tmp_path, change, message):
  _save(tmp_path, change)
  with pytest.raises(InputError, match=message):
    experiment_lib.build(tiny.config(**_predicted(tmp_path)))


def test_a_predictor_runs_at_its_training_size(tmp_path):
  _save(tmp_path, lambda metadata: metadata['config']['data'].update(width=48))
  config = tiny.config(data__height=64, data__width=96, **_predicted(tmp_path))
  with mock.patch.object(DepthNet, 'apply', autospec=True, side_effect=DepthNet.apply) as apply:
    experiment_lib.build(config)
  calls = [call.args for call in apply.call_args_list]
  assert {(model.width, image.shape[1:]) for model, _, image, *_ in calls} == {(2, (32, 48, 3))}


def _toy(config, env):
  """A task that fits a scale of the defocus from the predicted disparity."""

  def loss(variables, frozen, inputs, key, step):
    error = variables['params']['scale'] * inputs['defocus'] - inputs['image'][..., :1]
    return {'squared': (error**2).mean((1, 2, 3))}, {}

  def shown(outputs, inputs):
    assert outputs.keys() == {'predictor'}
    return {'defocus': inputs['defocus'].mean((1, 2, 3))}

  init, given = lambda *_: {'params': {'scale': jnp.ones(())}}, lambda _, frozen, __: frozen
  return Task(init, None, dof.rendering(config, env), loss, shown, shown, predict=given)


@pytest.fixture(name='built')
def fixture_built(tmp_path, monkeypatch):
  """Builds the toy experiment with a frozen depth network of the given width."""
  monkeypatch.setitem(tasks._TASKS, 'toy', (_toy, ('scene',), ('predictor',)))

  def build(width=2, **fields):
    (tmp_path / str(width)).mkdir(exist_ok=True)
    path = _save(tmp_path / str(width), model__width=width)
    return experiment_lib.build(tiny.config(task='toy', **{**_predicted(path), **fields}))

  return build


def test_the_program_size_does_not_depend_on_the_frozen_network(built):
  """Its arrays are arguments, not constants."""
  sizes, counts = [], []
  for width in (2, 8):
    experiment = built(width, parallel__devices=1)
    runner = experiment.runner
    batch = experiment_lib.placeholder_batch(tiny.config())
    lowered = runner.step.lower(runner.abstract, runner.frozen, experiment.hyper, batch)
    sizes.append(len(lowered.as_text()))
    counts.append(sum(x.size for x in jax.tree.leaves(runner.frozen)))
  assert counts[1] > 10 * counts[0] and sizes[1] < 1.02 * sizes[0]


def test_a_segmenter_is_frozen_too(tmp_path):
  fields = {'model.width': 4, 'data.height': 32, 'data.width': 32}
  config = configuring.with_fields(configuring.load('segment', 'smoke'), fields).to_dict()
  variables = jax.tree.map(
    lambda x: np.ones(x.shape, 'f4'), segmenter.FROM_CONFIG['segment'](config)[1]
  )
  metadata = {'task': 'segment', 'step': 1, 'config': config}
  weights.save_weights(tmp_path, variables, metadata)
  experiment = experiment_lib.build(toy.config('', segmenter__weights=str(tmp_path)))
  jax.tree.map(np.testing.assert_array_equal, experiment.frozen(), {'segmenter': variables})
  with pytest.raises(InputError, match="weights of the task 'segment'; expected .*deeplens_depth"):
    experiment_lib.build(tiny.config(**_predicted(tmp_path)))
  metadata['task'] = 'deeplens_depth'
  weights.save_weights(tmp_path, variables, metadata)
  with pytest.raises(InputError, match="'deeplens_depth'; expected weights of the task 'segment'"):
    experiment_lib.build(toy.config('', segmenter__weights=str(tmp_path)))


def _losses(experiment):
  """The losses of two steps and the final state."""
  state, losses = experiment.runner.init(experiment_lib.seed_key(0)), []
  with contextlib.closing(experiment.feed(0)) as batches:
    for batch in itertools.islice(batches, 2):
      state, scalars = experiment.runner.step(state, experiment.frozen(), experiment.hyper, batch)
      losses.append(float(scalars['loss']))
  return losses, state


def test_every_mode_uses_the_frozen_network_like_one_device(built, tmp_path):
  one = built(parallel__devices=1)
  predicted, state = _losses(one)
  batch = one.runner.put(next(one.batches('val', 0)))
  seen = [function(state, one.frozen(), batch)[0] for function in (one.evaluate, one.pictures)]
  np.testing.assert_array_equal(seen[0]['defocus'].value, seen[1]['defocus'])
  nothing = jax.tree.map(jnp.zeros_like, one.frozen())
  other = one.pictures(state, nothing, batch)[0]['defocus']
  assert np.abs(seen[1]['defocus'] - other).max() > 1e-3
  true = built(parallel__devices=1, render__disparity='true')
  assert np.abs(np.subtract(predicted, _losses(true)[0])).min() > 1e-3
  # The frozen network is not part of the state.
  assert sum(x.size for x in jax.tree.leaves(state.ema)) == 1
  for fields in ({'parallel__fsdp': 4}, {'parallel__mode': 'pmap'}):
    experiment = built(**fields)
    saved, _ = weights.load_weights(tmp_path / '2')
    jax.tree.map(np.testing.assert_array_equal, experiment.frozen(), {'predictor': saved})
    np.testing.assert_allclose(_losses(experiment)[0], predicted, rtol=2e-3)
    split = [x for x in jax.tree.leaves(experiment.frozen()) if not x.sharding.is_fully_replicated]
    assert bool(split) == ('parallel__fsdp' in fields)
