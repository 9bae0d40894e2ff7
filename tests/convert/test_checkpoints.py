"""Checkpoint files of others: what is read, and one line for all that cannot be."""

import builtins
import sys

import numpy as np
import pytest
import safetensors.numpy

from depthjax.convert import checkpoints
from depthjax.files.errors import InputError

_TENSORS = {
  'conv.weight': np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
  'bn.count': np.array(3),
}


def _assert_tensors(read):
  assert read.keys() == _TENSORS.keys()
  for name, value in _TENSORS.items():
    np.testing.assert_array_equal(read[name], value)
  assert read['conv.weight'].dtype == np.float32


@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.float64])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_safetensors_are_read_as_float32(tmp_path, dtype, prefix):
  stored = {prefix + k: v.astype(dtype) if v.ndim else v for k, v in _TENSORS.items()}
  safetensors.numpy.save_file(stored, tmp_path / 'a.safetensors')
  _assert_tensors(checkpoints.read(tmp_path / 'a.safetensors'))


@pytest.mark.parametrize('wrapper', [None, 'state_dict', 'model', 'net'])
@pytest.mark.parametrize('ending', ['pth', 'pt', 'bin'])
def test_files_of_pytorch_are_read_with_or_without_a_wrapper(tmp_path, wrapper, ending):
  torch = pytest.importorskip('torch', reason="torch is in the extra 'parity'")
  tensors = {name: torch.tensor(value) for name, value in _TENSORS.items()}
  stored = {wrapper: tensors, 'epoch': 3} if wrapper else tensors
  torch.save(stored, tmp_path / f'a.{ending}')
  _assert_tensors(checkpoints.read(tmp_path / f'a.{ending}'))


class _FakeTorch:
  """A torch that loads what it is told to, to see what is done with it."""

  class Tensor:
    def __init__(self, value):
      self.value = value

    def is_floating_point(self):
      return self.value.dtype.kind == 'f'

    def float(self):
      return type(self)(self.value.astype(np.float32))

    def detach(self):
      return self

    def numpy(self):
      return self.value

  def __init__(self, stored):
    self.stored, self.arguments = stored, {}

  def load(self, path, **arguments):
    self.arguments = arguments
    if isinstance(self.stored, Exception):
      raise self.stored
    return self.stored


def _read_by(monkeypatch, tmp_path, stored):
  torch = _FakeTorch(stored)
  monkeypatch.setitem(sys.modules, 'torch', torch)
  path = tmp_path / 'a.pth'
  path.write_bytes(b'PK')
  try:
    return checkpoints.read(path)
  finally:
    assert torch.arguments == {'map_location': 'cpu', 'weights_only': True}


@pytest.mark.parametrize('wrapper', [None, 'state_dict', 'model', 'net'])
def test_tensors_are_taken_from_their_wrapper_without_running_code(monkeypatch, tmp_path, wrapper):
  tensors = {name: _FakeTorch.Tensor(value) for name, value in _TENSORS.items()}
  stored = {wrapper: tensors, 'epoch': 3} if wrapper else {**tensors, 'epoch': 3}
  _assert_tensors(_read_by(monkeypatch, tmp_path, stored))


@pytest.mark.parametrize(
  'stored, message',
  [
    ([1, 2], 'a.pth: holds list, not tensors by name; expected a complete checkpoint'),
    (RuntimeError('zip\nlong advice'), r'truncated, or holds more than tensors \(zip\); expected'),
    (EOFError(), r'truncated, or holds more than tensors \(EOFError\)'),
  ],
)
def test_what_torch_refuses_is_one_line(monkeypatch, tmp_path, stored, message):
  with pytest.raises(InputError, match=message):
    _read_by(monkeypatch, tmp_path, stored)


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
  real = builtins.__import__

  def without(name, *arguments, **fields):
    if name == 'torch':
      raise ImportError(name)
    return real(name, *arguments, **fields)

  monkeypatch.setattr(builtins, '__import__', without)
  (tmp_path / 'a.pth').write_bytes(b'PK')
  message = r"a.pth: is a file of PyTorch, .*torch is not installed; .*'depthjax\[parity\]'"
  with pytest.raises(InputError, match=message):
    checkpoints.read(tmp_path / 'a.pth')


def _cut(path):
  safetensors.numpy.save_file(_TENSORS, path)
  path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize(
  'name, write, message',
  [
    ('no.safetensors', None, 'no.safetensors: does not exist'),
    ('a.onnx', lambda path: path.write_bytes(b'x'), r"a.onnx: ends in '.onnx'; .*\.safetensors"),
    ('a.safetensors', _cut, 'a.safetensors: is truncated or not a safetensors file'),
    ('a.safetensors', lambda path: path.write_bytes(b'rubbish'), 'is truncated or not a'),
  ],
)
def test_other_files_are_refused(tmp_path, name, write, message):
  if write:
    write(tmp_path / name)
  with pytest.raises(InputError, match=message):
    checkpoints.read(tmp_path / name)


def test_half_precision_of_either_kind_is_float32(tmp_path):
  header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
  data = b'\x80\x3f\x20\xc0'  # 1 and -2.5: the upper halves of float32.
  path = tmp_path / 'a.safetensors'
  path.write_bytes(len(header).to_bytes(8, 'little') + header + data)
  read = checkpoints.read(path)
  assert read['x'].dtype == np.float32
  np.testing.assert_array_equal(read['x'], [1, -2.5])
