"""Initialisation of a run from the weights of another one."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from depthjax.configuring import ConfigError
from depthjax.files import weights
from depthjax.train import initialise
from depthjax.train.step import TrainState
from tests.messages import refused


def _variables(value, head=(3,)):
  return {
    'params': {'body': {'kernel': np.full((2, 2), value)}, 'head': np.full(head, value)},
    'batch_stats': {'body': {'mean': np.full(2, value)}},
  }


def _state():
  variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), _variables(1.0))
  statistics, ema = {'batch_stats': variables['batch_stats']}, jax.tree.map(jnp.copy, variables)
  key = jnp.zeros(2, jnp.uint32)
  return TrainState(jnp.int32(0), variables['params'], statistics, ema, (), key, jnp.bool_(True))


def _config(path, *rules):
  return ml_collections.ConfigDict({'weights': str(path), 'rules': rules or (('.*', 'load'),)})


def _saved(folder, variables=None):
  return weights.save_weights(folder, variables or _variables(7.0), {'task': 'lensblur'})


def _value(tree):
  return {float(np.unique(x).item()) for x in jax.tree.leaves(tree)}


def test_all_variables_are_loaded_and_the_average_starts_there(tmp_path):
  device = jax.devices()[3]
  state = jax.device_put(_state(), device)
  state = initialise.from_weights(state, _config(_saved(tmp_path)))
  assert _value(state.params) == _value(state.model_state) == _value(state.ema) == {7.0}
  assert jax.tree.structure(state) == jax.tree.structure(_state())
  assert state.step == 0 and state.finite
  arrays = jax.tree.leaves((state.params, state.model_state, state.ema))
  assert {x.dtype for x in arrays} == {jnp.float32.dtype}
  assert all(x.devices() == {device} for x in arrays)
  # A step donates all of them, so no two may share a buffer.
  assert len({x.unsafe_buffer_pointer() for x in arrays}) == len(arrays)


def test_fresh_arrays_keep_their_values_and_may_be_missing_in_the_file(tmp_path):
  variables = _variables(7.0, head=(5,))
  variables.pop('batch_stats')
  rules = ('^params/head', 'fresh'), ('^params/', 'load'), ('batch_stats', 'fresh')
  state = initialise.from_weights(_state(), _config(_saved(tmp_path, variables), *rules))
  assert _value((state.params['body'], state.ema['params']['body'])) == {7.0}
  assert _value((state.params['head'], state.ema['params']['head'], state.model_state)) == {1.0}


@pytest.mark.parametrize('found', ['missing', (5,)])
def test_missing_arrays_and_other_shapes_are_refused(tmp_path, found):
  variables = _variables(7.0, head=(5,))
  if found == 'missing':
    variables['params'].pop('head')
  file = _saved(tmp_path, variables)
  load = lambda: initialise.from_weights(_state(), _config(file))  # noqa: E731
  refused(load, f"{file}: has 'params/head' as {found}, the model's is (3,)")


def test_arrays_without_a_rule_are_refused(tmp_path):
  with pytest.raises(ConfigError, match="no rule matches 'batch_stats/body/mean'"):
    initialise.from_weights(_state(), _config(_saved(tmp_path), ('params', 'load')))
