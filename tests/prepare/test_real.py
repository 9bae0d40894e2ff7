"""Readers on a few real files, if a folder of them is beside the repository."""

import pathlib
import shutil

import cv2
import numpy as np
import pytest

from depthjax.data.records import evaluation
from depthjax.data.sources import photos as photo_sources
from depthjax.files import images
from depthjax.prepare import maps, middlebury, writing
from depthjax.scoring import photographs
from tests.prepare import made

_DATA = pathlib.Path(__file__).parents[2].parent / 'shared' / 'data'
_RIGHT_VIEWS = {'disp2.png': 'im6.png', 'disp1.png': 'view5.png', 'disp.npz': 'right.png'}


def _folder(name):
  if not (_DATA / name).is_dir():
    pytest.skip(f'no real data: there is no folder {_DATA / name}')
  return _DATA / name


def test_ebb_pairs_are_prepared_and_scored(tmp_path):
  source = _folder('bokeh/ebb_vabm')
  kinds = {'original': 'input.jpg', 'bokeh': 'target.jpg', 'disparity': 'disp_u8.png'}
  for folder, kind in kinds.items():
    (tmp_path / 'ebb' / folder).mkdir(parents=True)
    for name in ('2977', '2978', '4545'):
      shutil.copy(source / f'{name}_{kind}', tmp_path / 'ebb' / folder / f'{name}{kind[-4:]}')
  done = writing.prepare('ebb', tmp_path / 'ebb', tmp_path / 'out', long_side=160)
  assert done.counts == {'train': 1, 'val': 1, 'test': 1} and not done.skipped
  pairs = list(evaluation.open_records(f'tfds:{done.folder}', 'all'))
  for record in pairs:
    assert max(record['image'].shape) == 160 and np.ptp(record['disparity']) > 0.9
    # The wide aperture has less detail.
    detail = [cv2.Laplacian(record[name], cv2.CV_32F).var() for name in ('image', 'target')]
    assert detail[1] < detail[0]
    assert np.corrcoef(record['image'].ravel(), record['target'].ravel())[0, 1] > 0.8
  scores = photographs.score_pair(pairs[0], photographs.renderers())
  assert scores['classical']['ssim'] > scores['untouched']['ssim']


def test_nyu_depth_is_in_metres():
  source = _folder('rgbd/nyuv2_metric3d')
  record = maps.load_millimetres(source / 'rgb_00000.jpg', source / 'depth_00000.png')
  assert record['image'].shape == (480, 640, 3)
  valid = record['valid'] > 0
  metres = 1 / record['disparity'][valid]
  assert valid.mean() > 0.5 and 0.5 < metres.min() and metres.max() < 12


def test_middlebury_disparity_warps_one_view_to_the_other(tmp_path):
  source = _folder('stereo_gt')
  found = middlebury.middlebury(source)
  folders = sorted(path.name for path in source.iterdir() if path.is_dir())
  assert [entry.name for entry in found.entries] == folders
  assert made.bad(found.entries) == {}
  for entry in found.entries:
    record, path = entry.load(), source / entry.name
    disparity, valid = record['disparity'][..., 0], record['valid'][..., 0] > 0
    file = next(name for name in _RIGHT_VIEWS if (path / name).is_file())
    right = images.read_image(path / _RIGHT_VIEWS[file])
    y, x = np.mgrid[: disparity.shape[0], : disparity.shape[1]].astype(np.float32)
    errors = []
    for scale in (0.5, 0.9, 1, 1.1, 2):
      warped = cv2.remap(right, x - scale * disparity, y, cv2.INTER_LINEAR)
      inside = valid & (x > 2 * disparity)
      errors.append(np.median(np.abs(warped - record['image'] / 255)[inside]))
    assert np.argmin(errors) == 2, (entry.name, errors)
  done = writing.prepare('middlebury', source, tmp_path, long_side=128)
  assert sum(done.counts.values()) == len(found.entries)


def test_mattes_become_foregrounds(tmp_path):
  source = _folder('masks/alphamatting')
  shutil.copytree(source / 'input', tmp_path / 'aim' / 'image')
  shutil.copytree(source / 'alpha', tmp_path / 'aim' / 'alpha')
  done = writing.prepare('aim500', tmp_path / 'aim', tmp_path / 'out', long_side=200)
  assert sum(done.counts.values()) == 4
  items = photo_sources.open_foregrounds(f'tfds:{done.folder}', 'all')
  for item in items:
    assert max(item.shape) == 200 and item.shape[2] == 4
    assert 0.05 < (item[..., 3] > 128).mean() < 0.95
