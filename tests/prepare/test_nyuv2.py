"""NYU Depth v2 from folders and from its MATLAB file."""

import sys

import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.prepare import nyuv2
from tests.prepare import hdf5_files, made


def test_folders_hold_millimetres_with_unknown_pixels(tmp_path):
  record = nyuv2.nyuv2(made.nyuv2(tmp_path)).entries[2].load()
  metres = made.millimetres(2) / 1000
  known = metres > 0
  np.testing.assert_array_equal(record['valid'][..., 0] == 255, known)
  np.testing.assert_allclose(record['disparity'][known][:, 0], 1 / metres[known], rtol=1e-6)
  assert record['unit'] == '1/m'
  made.write(tmp_path / 'depth' / '2.png', np.zeros((made.H, made.W), np.uint16))
  assert 'has no valid pixel' in made.bad(nyuv2.nyuv2(tmp_path).entries)['2']


def test_matlab_file_has_completed_depth_and_scenes(tmp_path):
  path = tmp_path / 'nyu_depth_v2_labeled.mat'
  raw = np.stack([made.millimetres(i).T / np.float32(1000) for i in range(4)])
  images = np.stack([made.picture(i).transpose(2, 1, 0) for i in range(4)])
  completed = np.maximum(raw, 1)
  scenes = ('study', 'study', 'bath', 'hall')
  hdf5_files.write(path, scenes, images=images, depths=completed, rawDepths=raw)
  for source in (tmp_path, path):
    entries = nyuv2.nyuv2(source).entries
    assert [entry.group for entry in entries] == list(scenes)
    assert [entry.name for entry in entries] == ['00001', '00002', '00003', '00004']
    for i, entry in enumerate(entries):
      record = entry.load()
      np.testing.assert_array_equal(record['image'], made.picture(i))
      known = record['valid'][..., 0] > 0
      np.testing.assert_array_equal(known, raw[i].T > 0)
      disparity = record['disparity'][..., 0]
      np.testing.assert_allclose(disparity[known], 1 / completed[i].T[known], rtol=1e-6)
  hdf5_files.write(path, images=images, depths=completed[:3], rawDepths=raw)
  with pytest.raises(InputError, match='holds 4 images, and another number of depths'):
    nyuv2.nyuv2(tmp_path)
  made.truncate(path)
  with pytest.raises(InputError, match='labeled.mat: cannot be read .*, complete'):
    nyuv2.nyuv2(tmp_path)


def test_matlab_file_without_h5py_is_refused_with_the_extra_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'h5py', None)
  (tmp_path / 'nyu_depth_v2_labeled.mat').write_bytes(b'not read')
  with pytest.raises(InputError, match=r"h5py is not installed; .*'depthjax\[prepare\]'"):
    nyuv2.nyuv2(tmp_path)
