"""Fine-tuning of published predictors: the loss of deeplens_depth, statistics, refused fields."""

import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, tasks
from depthjax.models.predictors import published, runs
from depthjax.ops import disparity as disparity_lib
from depthjax.tasks import deeplens_depth
from depthjax.tasks.task import Env


def _config(arg='smoke', **fields):
  config = configuring.load('monocular', arg).unlock()
  config.update_from_flattened_dict(fields)
  return config.lock()


def test_the_loss_is_that_of_the_disparity():
  task = tasks.make(_config(), Env())
  rng = np.random.default_rng(0)
  inputs = {'image': rng.random((2, 28, 28, 3), np.float32), 'index': np.arange(2)}
  inputs['disparity'] = rng.random((2, 28, 28, 1), np.float32)
  variables = jax.device_get(jax.jit(task.init)(jax.random.key(0), inputs))
  outputs = jax.jit(task.apply)(variables, inputs)
  terms, state = jax.jit(functools.partial(task.loss, frozen={}, key=None, step=0))(
    variables, inputs=inputs
  )
  expected = np.abs(disparity_lib.normalise(outputs['disparity']) - inputs['disparity'])
  np.testing.assert_allclose(terms['depth'], expected.mean((1, 2, 3)), rtol=1e-4)
  assert state == {} and task.metrics is deeplens_depth.metrics


def test_batch_statistics_of_midas_are_updated():
  config = _config('small,network=midas').copy_and_resolve_references().unlock()
  config.model.width, config.model.fusion = 8, 8
  config.data.height = config.data.width = 32
  task = tasks.make(config.lock(), Env())
  rng = np.random.default_rng(0)
  inputs = {'image': rng.random((1, 32, 32, 3), np.float32), 'index': np.arange(1)}
  inputs['disparity'] = rng.random((1, 32, 32, 1), np.float32)
  variables = jax.eval_shape(task.init, jax.random.key(0), inputs)
  loss = functools.partial(task.loss, frozen={}, key=None, step=0)
  _, state = jax.eval_shape(loss, variables, inputs=inputs)
  assert jax.tree.structure(state) == jax.tree.structure({'batch_stats': variables['batch_stats']})


def test_a_run_is_a_predictor_at_the_size_of_its_frames():
  predictor, shapes = runs.FROM_CONFIG['monocular'](_config().to_dict())
  assert (predictor.input_size, predictor.network.size) == (70, 'tiny')
  expected = published.shapes(predictor.network, 14)
  assert jax.tree.structure(shapes) == jax.tree.structure(expected)


@pytest.mark.parametrize(
  'fields, words',
  [
    ({'data.height': 72}, 'data.height is 72; it must be a multiple of 14'),
    ({'model.network': 'zoe'}, "model is not the description of one of .*, dpt, midas .'zoe'"),
    ({'model.size': 'huge'}, "model is not the description .*'huge'"),
    ({'model.version': 3}, 'model is not the description .*3'),
  ],
)
def test_other_fields_are_refused(fields, words):
  with pytest.raises(ValueError, match=words):
    tasks.make(_config(**fields), Env())
