"""State dicts in files: formats, wrappers and types that are read, and files that are refused."""

import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from depthjax.convert import checkpoints
from tests.messages import refused

_TENSORS = {
  'conv.weight': np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
  'bn.count': np.array(3),
}


@pytest.fixture
def torch():
  return pytest.importorskip('torch', reason="torch is in the extra 'parity'")


def _assert_tensors(read):
  assert read.keys() == _TENSORS.keys()
  for name, value in _TENSORS.items():
    np.testing.assert_array_equal(read[name], value)
  assert read['conv.weight'].dtype == np.float32


@pytest.mark.parametrize('dtype', [np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_safetensors_are_read_as_float32(tmp_path, dtype, prefix):
  stored = {prefix + k: v.astype(dtype) if v.ndim else v for k, v in _TENSORS.items()}
  safetensors.numpy.save_file(stored, tmp_path / 'a.safetensors')
  _assert_tensors(checkpoints.read(tmp_path / 'a.safetensors'))


@pytest.mark.parametrize(
  'wrapper, extension', [(None, 'pth'), ('state_dict', 'pt'), ('model', 'bin'), ('net', 'pth')]
)
def test_pytorch_files_are_read_with_and_without_a_wrapper(torch, tmp_path, wrapper, extension):
  tensors = {name: torch.tensor(value) for name, value in _TENSORS.items()}
  stored = {wrapper: tensors, 'epoch': 3} if wrapper else {**tensors, 'epoch': 3}
  torch.save(stored, tmp_path / f'a.{extension}')
  _assert_tensors(checkpoints.read(tmp_path / f'a.{extension}'))


@pytest.mark.parametrize('extension', ['pt', 'safetensors'])
def test_written_files_are_read_again(torch, tmp_path, extension):
  checkpoints.write(tmp_path / f'a.{extension}', _TENSORS, 'net')
  _assert_tensors(checkpoints.read(tmp_path / f'a.{extension}'))


class _Code:
  """Runs code when it is unpickled."""

  def __reduce__(self):
    return print, ('unpickled',)


@pytest.mark.parametrize(
  'stored, part', [([1, 2], 'holds list, not tensors by name'), ({'a': _Code()}, 'other than')]
)
def test_other_objects_in_pytorch_files_are_refused(torch, tmp_path, capsys, stored, part):
  path = tmp_path / 'a.pth'
  torch.save(stored, path)
  refused(lambda: checkpoints.read(path), path, part, 'state dict')
  assert capsys.readouterr().out == ''


def test_missing_torch_is_refused_with_its_extra(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'torch', None)
  path = tmp_path / 'a.pth'
  path.write_bytes(b'PK')
  parts = 'package torch, which is not installed', "'depthjax[parity]'"
  refused(lambda: checkpoints.read(path), path, *parts)
  refused(lambda: checkpoints.check_output(path), path, *parts)


def test_other_files_are_refused(tmp_path):
  onnx, truncated = tmp_path / 'a.onnx', tmp_path / 'a.safetensors'
  onnx.write_bytes(b'x')
  refused(lambda: checkpoints.read(onnx), onnx, "ends in '.onnx'", '.safetensors')
  truncated.write_bytes(safetensors.numpy.save(_TENSORS)[:-8])
  refused(lambda: checkpoints.read(truncated), truncated, 'is truncated or not a safetensors file')
