"""Weights: round trips, and files, tasks and networks that are refused."""

import functools

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from depthjax.files.weights import FILE_NAME, load_network, load_weights, save_weights
from tests.messages import refused

META = {'task': 'lensblur', 'step': 12, 'model': {'widths': [8, 16], 'name': 'ü'}}
ONES = {'a': np.ones(2, np.float32)}


@pytest.fixture
def variables():
  kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 8)).astype(np.float32)
  return {
    'params': {'block_0': {'kernel': kernel, 'bias': kernel[0, 0, 0]}, 'gain': np.float32(2.5)},
    'batch_stats': {'norm': {'mean': kernel.T, 'count': np.array([3], np.int32)}},
  }


def assert_equal(tree, expected):
  jax.tree.map(functools.partial(np.testing.assert_array_equal, strict=True), tree, expected)


def test_round_trip_of_a_file_and_of_a_folder(tmp_path, variables):
  assert save_weights(tmp_path, variables, META) == tmp_path / FILE_NAME
  assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
  for path in (tmp_path, save_weights(tmp_path / 'a.safetensors', variables, META)):
    loaded, metadata = load_weights(path)
    assert metadata == META
    assert_equal(loaded, variables)


def test_float16_halves_the_file_and_is_read_as_float32(tmp_path):
  tree = {'large': np.ones((64, 64), np.float32) / 3}
  full = save_weights(tmp_path / 'a.safetensors', tree, META)
  half = save_weights(tmp_path / 'b.safetensors', tree, META, dtype='float16')
  assert half.stat().st_size < 0.6 * full.stat().st_size
  large = load_weights(half)[0]['large']
  assert large.dtype == np.float32 and large[0, 0] == np.float32(np.float16(1 / 3))


def test_bfloat16_and_strided_arrays(tmp_path):
  array = np.arange(24, dtype=np.float32).reshape(4, 6)
  tree = {'a': array.astype(ml_dtypes.bfloat16), 'b': array[::2, ::-1], 'c': array.T}
  loaded, _ = load_weights(save_weights(tmp_path / 'a.safetensors', tree, META))
  assert_equal(loaded, {'a': array, 'b': array[::2, ::-1], 'c': array.T})


def test_old_task_names_are_translated_and_other_tasks_refused(tmp_path):
  path = save_weights(tmp_path, ONES, {'task': 'depth'})
  assert load_weights(path)[1]['task'] == 'deeplens_depth'
  wrong = "task 'deeplens_depth'", "task 'sddr'"
  refused(lambda: load_network(path, {'sddr': lambda config: None}), path, *wrong)


def test_truncated_files_are_refused(tmp_path, variables):
  path = save_weights(tmp_path, variables, META)
  data = path.read_bytes()
  for cut in np.linspace(1, len(data) - 1, 20).astype(int):
    path.write_bytes(data[:cut])
    refused(lambda: load_weights(path), path, 'truncated', 'written by depthjax')


def test_other_files_are_refused(tmp_path):
  path = tmp_path / 'a.safetensors'
  refused(lambda: load_weights(tmp_path), tmp_path, f'without {FILE_NAME}', 'by depthjax')
  path.write_bytes(b'PK\3\4 a checkpoint of another library, pickled')
  refused(lambda: load_weights(path), path, 'not a safetensors file', 'by depthjax')
  for metadata in (None, {'format': 'pt'}, {'depthjax': '{'}, {'depthjax': '[1]'}):
    path.write_bytes(safetensors.numpy.save(ONES, metadata))
    refused(lambda: load_weights(path), path, 'no depthjax metadata', 'by depthjax')
  text = {'depthjax': '{"task": "tom"}'}
  path.write_bytes(safetensors.numpy.save({'x/y': np.full(2, np.nan, np.float32)}, text))
  refused(lambda: load_weights(path), path, 'NaN or infinite values in x/y', 'finite weights')


@pytest.mark.parametrize(
  'variables, metadata, dtype, parts',
  [
    ({'p': {'a': np.full(2, np.nan)}}, META, 'float32', ('NaN or infinite values in p/a',)),
    ({'a': np.full(2, 1e5)}, META, 'float16', ('beyond float16 in a', 'fit float16')),
    ({}, META, 'float32', ('no arrays', 'variables')),
    (ONES, {}, 'float32', ('no task', "'task'")),
    (ONES, {'task': 'tom', 'x': object()}, 'float32', ('JSON cannot store', 'plain values')),
  ],
)
def test_invalid_weights_are_not_saved(tmp_path, variables, metadata, dtype, parts):
  path = tmp_path / 'a.safetensors'
  refused(lambda: save_weights(path, variables, metadata, dtype=dtype), path, *parts)
  assert list(tmp_path.iterdir()) == []


def test_invalid_arguments_are_refused(tmp_path):
  npz = tmp_path / 'a.npz'
  refused(lambda: save_weights(npz, ONES, META), npz, "'.npz'", '.safetensors')
  for tree in ({'a/b': np.ones(2)}, {'': np.ones(2)}, {0: np.ones(2)}):
    with pytest.raises(ValueError, match="non-empty string without '/'"):
      save_weights(tmp_path, tree, META)
  with pytest.raises(ValueError, match="'bfloat16'; expected 'float32' or 'float16'"):
    save_weights(tmp_path, ONES, META, dtype='bfloat16')


def test_network_is_built_from_its_config(tmp_path, variables):
  save_weights(tmp_path, variables, {**META, 'config': {'width': 8}})
  network, loaded = load_network(tmp_path, {'lensblur': lambda c: (c['width'], variables)})
  assert network == 8
  assert_equal(loaded, variables)


@pytest.mark.parametrize(
  'describe, wrong',
  [
    (lambda c: (c['depth'], {}), "does not describe its network (KeyError: 'depth')"),
    (lambda c: (0, {'params': {'a': np.zeros(2)}}), 'holds other arrays than the network'),
    (lambda c: (0, {'a': np.zeros((2, 1))}), 'holds other arrays than the network'),
  ],
)
def test_arrays_of_another_network_are_refused(tmp_path, describe, wrong):
  path = save_weights(tmp_path, ONES, {**META, 'config': {'name': 'a'}})
  refused(lambda: load_network(path, {'lensblur': describe}), path, wrong, 'training run wrote')
