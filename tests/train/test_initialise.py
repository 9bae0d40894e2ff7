"""A run that starts from the weights of another: what is loaded, kept fresh, or refused."""

import re

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from depthjax.configuring import ConfigError
from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.train import initialise
from depthjax.train.step import TrainState


def _variables(value, head=(3,)):
  return {
    'params': {'body': {'kernel': np.full((2, 2), value)}, 'head': np.full(head, value)},
    'batch_stats': {'body': {'mean': np.full(2, value)}},
  }


def _state():
  variables = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), _variables(1.0))
  return TrainState(
    step=jnp.int32(0),
    params=variables['params'],
    model_state={'batch_stats': variables['batch_stats']},
    ema=jax.tree.map(jnp.copy, variables),
    opt=(),
    key=jnp.zeros(2, jnp.uint32),
    finite=jnp.bool_(True),
  )


def _config(path, *rules):
  return ml_collections.ConfigDict({'weights': str(path), 'rules': rules or (('.*', 'load'),)})


def _saved(folder, variables=None):
  return weights.save_weights(folder, variables or _variables(7.0), {'task': 'lensblur'})


def _value(tree):
  return {float(np.unique(x).item()) for x in jax.tree.leaves(tree)}


@pytest.mark.parametrize('by', ['file', 'folder'])
def test_all_is_loaded_and_the_average_starts_there(tmp_path, by):
  file = _saved(tmp_path)
  state = initialise.from_weights(_state(), _config(file if by == 'file' else tmp_path))
  assert _value(state.params) == _value(state.model_state) == _value(state.ema) == {7.0}
  assert jax.tree.structure(state) == jax.tree.structure(_state())
  assert state.step == 0 and state.finite
  # A step gives both away: they must not be the same buffers.
  given = state.params, state.model_state, state.ema
  pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(given)]
  assert len(set(pointers)) == len(pointers)


def test_arrays_keep_the_place_and_type_of_the_fresh_ones(tmp_path):
  device = jax.devices()[3]
  state = jax.device_put(_state(), device)
  loaded = initialise.from_weights(state, _config(_saved(tmp_path)))
  for x in jax.tree.leaves((loaded.params, loaded.model_state, loaded.ema)):
    assert x.devices() == {device} and x.dtype == jnp.float32


def test_what_a_rule_calls_fresh_stays(tmp_path):
  rules = ('^params/head', 'fresh'), ('^params/', 'load'), ('batch_stats', 'fresh')
  state = initialise.from_weights(_state(), _config(_saved(tmp_path), *rules))
  assert _value(state.params['body']) == {7.0}
  assert _value((state.params['head'], state.model_state)) == {1.0}
  average = state.ema['params']
  assert _value(average['body']) == {7.0} and _value(average['head']) == {1.0}


def test_fresh_arrays_need_not_be_in_the_file(tmp_path):
  variables = _variables(7.0, head=(5,))
  variables.pop('batch_stats')
  file = _saved(tmp_path, variables)
  rules = ('head|batch_stats', 'fresh'), ('.*', 'load')
  state = initialise.from_weights(_state(), _config(file, *rules))
  assert _value(state.params['body']) == {7.0} and state.params['head'].shape == (3,)


def test_a_missing_array_is_refused_by_name(tmp_path):
  variables = _variables(7.0)
  variables['params'].pop('head')
  file = _saved(tmp_path, variables)
  message = f"{file}: has 'params/head' as missing, the model's is (3,); expected weights of this"
  with pytest.raises(InputError, match=re.escape(message)):
    initialise.from_weights(_state(), _config(file))


def test_an_array_of_another_shape_is_refused_by_name(tmp_path):
  file = _saved(tmp_path, _variables(7.0, head=(5,)))
  message = f"{file}: has 'params/head' as (5,), the model's is (3,); expected weights of this"
  with pytest.raises(InputError, match=re.escape(message)):
    initialise.from_weights(_state(), _config(file))


def test_a_rule_says_load_or_fresh(tmp_path):
  with pytest.raises(ConfigError, match="initialise.rules: 'keep' for '.*'; 'load' or 'fresh'"):
    initialise.from_weights(_state(), _config(_saved(tmp_path), ('.*', 'keep')))
  with pytest.raises(ConfigError, match="no rule matches 'batch_stats/body/mean'"):
    initialise.from_weights(_state(), _config(_saved(tmp_path), ('params', 'load')))


def test_a_file_that_is_not_there_is_refused(tmp_path):
  with pytest.raises(InputError, match=r'no\.safetensors: does not exist'):
    initialise.from_weights(_state(), _config(tmp_path / 'no.safetensors'))
