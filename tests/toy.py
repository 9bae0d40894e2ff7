"""A task of one parameter on stored predictions, which compiles at once."""

import jax.numpy as jnp

from depthjax import configuring
from depthjax.metrics.weighted import Weighted
from depthjax.tasks.task import Task
from tests import tiny


def make(config, env):
  """A task with one parameter, 1; of the records with an odd index, `even` is undefined."""
  del config, env

  def metrics(outputs, inputs):
    error = jnp.abs(outputs - inputs['target']).mean((1, 2, 3))
    odd = inputs['index'] % 2
    even = Weighted(jnp.where(odd, jnp.nan, error), 1.0 - odd)
    return {'error': error, 'index': inputs['index'] * 1.0, 'even': even}

  def loss(variables, frozen, inputs, key, step):
    return {'l1': jnp.abs(apply(variables, inputs) - inputs['target']).mean((1, 2, 3))}, {}

  apply = lambda variables, inputs: variables['params']['scale'] * inputs['low']  # noqa: E731
  init = lambda *_: {'params': {'scale': jnp.ones(())}}  # noqa: E731
  return Task(
    init, apply, lambda _, records: records, loss, metrics, lambda _, x: {'low': x['low']}
  )


def config(source, **fields):
  fields = {
    'eval.batch_size': 4,
    'eval.examples': 0,
    'data.depth_source': source,
    **tiny.dotted(fields),
  }
  result = tiny.sddr_config(task='tests.toy:make', data__height=32, data__width=32)
  with result.unlocked():
    result.model, result.loss, result.data.predictions.levels = {}, {}, 0
    return configuring.with_fields(result, fields)
