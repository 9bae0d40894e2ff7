"""NYU Depth v2 from folders and from its MATLAB file, with and without the library for it."""

import sys
import types

import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.prepare import nyuv2
from tests.prepare import made


def test_nyu_folders_hold_millimetres_with_holes(tmp_path):
  record = nyuv2.nyuv2(made.nyuv2(tmp_path)).entries[2].load()
  metres = made.millimetres(2) / 1000
  np.testing.assert_array_equal(record['valid'][..., 0] == 255, metres > 0)
  known = metres > 0
  np.testing.assert_allclose(record['disparity'][known][:, 0], 1 / metres[known], rtol=1e-6)
  assert record['unit'] == '1/m'
  made.write(tmp_path / 'depth' / '2.png', np.zeros((made.H, made.W), np.uint16))
  assert 'has no valid pixel' in made.bad(nyuv2.nyuv2(tmp_path).entries)['2']


def _matlab_arrays(count=4):
  """As HDF5 shows them: the axes of MATLAB turned round. Frame 0 and 1 are of one scene."""
  names = ['study', 'study', 'bath', 'hall']
  codes = {name: np.array([[ord(c)] for c in name], np.uint16) for name in names}
  images = np.stack([made.picture(i).transpose(2, 1, 0) for i in range(count)])
  metres = np.stack([made.millimetres(i).T / np.float32(1000) for i in range(count)])
  return images, np.maximum(metres, 1), metres, names, codes


class _Reference(str):
  """What HDF5 stores in a cell array."""


def _fake_hdf5(arrays):
  """A stand-in for h5py with one file in it."""
  images, full, raw, names, codes = arrays
  content = {'images': images, 'depths': full, 'rawDepths': raw}
  content |= {'scenes': np.array([[_Reference(name) for name in names]], object), **codes}

  class File(dict):
    def __init__(self, path, mode):
      assert mode == 'r'
      if path.read_bytes() != b'whole':
        raise OSError('file signature not found')
      super().__init__(content)

    def __enter__(self):
      return self

    def __exit__(self, *_):
      pass

  return types.SimpleNamespace(File=File)


def _check_matlab(found, arrays):
  assert [entry.group for entry in found.entries] == ['study', 'study', 'bath', 'hall']
  for i, entry in enumerate(found.entries):
    record = entry.load()
    assert entry.name == f'{i + 1:05d}'
    np.testing.assert_array_equal(record['image'], made.picture(i))
    np.testing.assert_array_equal(record['valid'][..., 0] == 255, made.millimetres(i) > 0)
    known = record['valid'] > 0
    np.testing.assert_allclose(
      record['disparity'][known], 1 / arrays[1][i].T[..., None][known], rtol=1e-6
    )


def test_nyu_matlab_file(tmp_path, monkeypatch):
  arrays = _matlab_arrays()
  monkeypatch.setitem(sys.modules, 'h5py', _fake_hdf5(arrays))
  file = tmp_path / 'nyu_depth_v2_labeled.mat'
  file.write_bytes(b'whole')
  _check_matlab(nyuv2.nyuv2(tmp_path), arrays)
  _check_matlab(nyuv2.nyuv2(file), arrays)
  file.write_bytes(b'half')
  with pytest.raises(InputError, match='labeled.mat: is truncated, or no MATLAB 7.3 file'):
    nyuv2.nyuv2(tmp_path)


def test_nyu_matlab_file_by_the_library_itself(tmp_path):
  h5py = pytest.importorskip('h5py', reason='the extra "prepare" is not installed')
  arrays = images, full, raw, names, codes = _matlab_arrays()
  with h5py.File(tmp_path / 'nyu_depth_v2_labeled.mat', 'w') as file:
    file['images'], file['depths'], file['rawDepths'] = images, full, raw
    places = [file.create_dataset(f'#refs#/{name}', data=value) for name, value in codes.items()]
    by_name = dict(zip(codes, places, strict=True))
    references = file.create_dataset('scenes', (1, len(names)), dtype=h5py.ref_dtype)
    for i, name in enumerate(names):
      references[0, i] = by_name[name].ref
  _check_matlab(nyuv2.nyuv2(tmp_path), arrays)


def test_nyu_matlab_file_without_the_library(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'h5py', None)
  (tmp_path / 'nyu_depth_v2_labeled.mat').write_bytes(b'whole')
  with pytest.raises(InputError, match=r"h5py is not installed; .*'depthjax\[prepare\]'"):
    nyuv2.nyuv2(tmp_path)
