"""Weights come back as they were saved, and a file that is not of this task says so."""

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from depthjax.files.weights import FILE_NAME, load_network, load_weights, save_weights
from tests.messages import refused

META = {'task': 'lensblur', 'step': 12, 'model': {'widths': [8, 16], 'name': 'ü'}}


@pytest.fixture
def variables():
  rng = np.random.default_rng(0)
  kernel = rng.standard_normal((3, 3, 4, 8)).astype(np.float32)
  return {
    'params': {'block_0': {'kernel': kernel, 'bias': kernel[0, 0, 0]}, 'gain': np.float32(2.5)},
    'batch_stats': {'norm': {'mean': kernel.T, 'count': np.array([3], np.int32)}},
  }


def leaves(tree):
  return [x for v in tree.values() for x in (leaves(v) if isinstance(v, dict) else [v])]


def shape_of(tree):
  return {k: shape_of(v) if isinstance(v, dict) else np.shape(v) for k, v in tree.items()}


def by_path(tree, prefix=''):
  for key, value in tree.items():
    if isinstance(value, dict):
      yield from by_path(value, f'{prefix}{key}/')
    else:
      yield f'{prefix}{key}', value


def test_round_trip(tmp_path, variables):
  path = save_weights(tmp_path / 'a.safetensors', variables, META)
  loaded, metadata = load_weights(path, 'lensblur')
  assert metadata == META and shape_of(loaded) == shape_of(variables)
  expected = dict(by_path(variables))
  for name, array in by_path(loaded):
    np.testing.assert_array_equal(array, expected[name])
    assert array.dtype == (np.int32 if name.endswith('count') else np.float32)


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path, variables):
  variables['params']['large'] = np.ones((64, 64), np.float32) / 3
  full = save_weights(tmp_path / 'a.safetensors', variables, META)
  half = save_weights(tmp_path / 'b.safetensors', variables, META, dtype='float16')
  assert half.stat().st_size < 0.6 * full.stat().st_size
  large = load_weights(half)[0]['params']['large']
  assert large.dtype == np.float32 and large[0, 0] == np.float32(np.float16(1 / 3))


def test_bfloat16_and_strided_arrays(tmp_path):
  array = np.arange(24, dtype=np.float32).reshape(4, 6)
  tree = {'a': array.astype(ml_dtypes.bfloat16), 'b': array[::2, ::-1], 'c': array.T}
  loaded, _ = load_weights(save_weights(tmp_path / 'a.safetensors', tree, META))
  for name, expected in (('a', array), ('b', array[::2, ::-1]), ('c', array.T)):
    np.testing.assert_array_equal(loaded[name], expected)


def test_a_folder_holds_one_file_of_a_fixed_name(tmp_path, variables):
  path = save_weights(tmp_path, variables, META)
  assert path == tmp_path / FILE_NAME and [p.name for p in tmp_path.iterdir()] == [FILE_NAME]
  assert load_weights(tmp_path)[1] == META


def test_weights_of_another_task_say_which(tmp_path, variables):
  path = save_weights(tmp_path, variables, META)
  refused(lambda: load_weights(tmp_path, 'sddr'), path, "task 'lensblur'", "task 'sddr'")


def test_truncated_files_are_refused_wherever_they_end(tmp_path, variables):
  path = save_weights(tmp_path, variables, META)
  data = path.read_bytes()
  for cut in np.linspace(1, len(data) - 1, 20).astype(int):
    path.write_bytes(data[:cut])
    refused(lambda: load_weights(path), path, 'truncated', 'written by depthjax')


def test_what_are_no_weights_is_refused(tmp_path):
  path = tmp_path / 'a.safetensors'
  refused(lambda: load_weights(path), path, 'does not exist', 'existing file')
  refused(lambda: load_weights(tmp_path), tmp_path, f'without {FILE_NAME}', 'by depthjax')
  path.write_bytes(b'PK\3\4 a checkpoint of another library, pickled')
  refused(lambda: load_weights(path), path, 'not a safetensors file', 'by depthjax')
  for metadata in (None, {'format': 'pt'}, {'depthjax': '{'}, {'depthjax': '[1]'}):
    data = safetensors.numpy.save({'a': np.ones(2, np.float32)}, metadata)
    path.write_bytes(data)
    refused(lambda: load_weights(path), path, 'no depthjax metadata', 'by depthjax')
  text = {'depthjax': '{"task": "tom"}'}
  path.write_bytes(safetensors.numpy.save({'x/y': np.full(2, np.nan, np.float32)}, text))
  refused(lambda: load_weights(path), path, 'NaN or infinite values in x/y', 'sound run')


def test_what_cannot_be_saved_leaves_nothing(tmp_path):
  path = tmp_path / 'a.safetensors'
  ones = {'a': np.ones(2, np.float32)}
  nan, big = {'p': {'a': np.full(2, np.nan)}}, {'a': np.full(2, 1e5)}
  refused(lambda: save_weights(path, nan, META), path, 'NaN or infinite values in p/a', 'finite')
  call = lambda: save_weights(path, big, META, dtype='float16')  # noqa: E731
  refused(call, path, 'beyond float16 in a', 'fit float16')
  refused(lambda: save_weights(path, {}, META), path, 'no arrays', 'variables')
  refused(lambda: save_weights(path, ones, {}), path, 'no task', "'task'")
  odd = {'task': 'tom', 'x': object()}
  refused(lambda: save_weights(path, ones, odd), path, 'beyond JSON', 'plain values')
  npz = tmp_path / 'a.npz'
  refused(lambda: save_weights(npz, ones, META), npz, "'.npz'", '.safetensors')
  lost = tmp_path / 'no' / 'a.safetensors'
  refused(lambda: save_weights(lost, ones, META), lost, 'no folder', 'existing folder')
  for tree in ({'a/b': np.ones(2)}, {'': np.ones(2)}, {0: np.ones(2)}):
    with pytest.raises(ValueError, match="non-empty string without '/'"):
      save_weights(path, tree, META)
  with pytest.raises(ValueError, match="'bfloat16'; expected 'float32' or 'float16'"):
    save_weights(path, ones, META, dtype='bfloat16')
  assert list(tmp_path.iterdir()) == []


def test_a_network_comes_as_its_config_describes_it(tmp_path, variables):
  save_weights(tmp_path, variables, {**META, 'config': {'width': 8}})
  network, loaded = load_network(tmp_path, {'lensblur': lambda c: (c['width'], variables)})
  assert network == 8 and shape_of(loaded) == shape_of(variables)


@pytest.mark.parametrize(
  'describe, wrong',
  [
    (lambda c: (c['depth'], {}), "does not describe its network (KeyError: 'depth')"),
    (lambda c: (c.width, {}), 'does not describe its network (AttributeError'),
    (lambda c: (int(c['name']), {}), 'does not describe its network (ValueError'),
    (lambda c: (c + 1, {}), 'does not describe its network (TypeError'),
    (lambda c: (0, {'params': {'gain': np.zeros(())}}), 'holds other arrays than the network'),
    (lambda c: (0, {'gain': np.zeros((1, 1))}), 'holds other arrays than the network'),
  ],
)
def test_arrays_of_another_network_are_refused(tmp_path, describe, wrong):
  path = save_weights(tmp_path, {'gain': np.zeros(1)}, {**META, 'config': {'name': 'a'}})
  described = {'lensblur': describe}
  refused(lambda: load_network(path, described), path, wrong, 'a training run wrote')


def test_tasks_of_older_versions_have_todays_names(tmp_path, variables):
  save_weights(tmp_path, variables, {'task': 'depth'})
  assert load_weights(tmp_path, 'deeplens_depth')[1]['task'] == 'deeplens_depth'
