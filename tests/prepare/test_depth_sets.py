"""Datasets of depth and disparity: their values, groups, and bad files."""

import os
import sys
from unittest import mock

import numpy as np
import pytest

from depthjax.data.records import evaluation
from depthjax.files import depth_formats
from depthjax.prepare import catalogue, hdf5, layouts, writing
from tests import messages
from tests.prepare import hdf5_files, made, made_maps


def _read(name, source):
  return {entry.name: entry for entry in catalogue.DATASETS[name].read(source).entries}


def _bad(name, source):
  return made.bad(_read(name, source).values())


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_stored_values_and_groups_are_true(name, tmp_path):
  truth = made_maps.MAKERS[name](tmp_path / 'source')
  entries = _read(name, tmp_path / 'source')
  assert {key: e.group for key, e in entries.items()} == {key: t.group for key, t in truth.items()}
  done = writing.prepare(name, tmp_path / 'source', tmp_path / 'target')
  assert done.skipped == []
  stored = list(evaluation.open_records(f'tfds:{done.folder}', 'all'))
  assert {record['name'] for record in stored} == truth.keys()
  for record in stored:
    want = truth[record['name']]
    # The two ways to compute Hypersim's powers may round differently.
    np.testing.assert_allclose(record['image'] * 255, want.image, atol=1.01 * ('hyper' in name))
    np.testing.assert_array_equal(record['valid'][..., 0] == 1, want.valid)
    np.testing.assert_allclose(record['disparity'][..., 0], want.disparity, rtol=2e-6)
    assert record['disparity'].dtype == np.float32 and record['unit'] == want.unit


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_missing_or_truncated_map_is_a_bad_record(name, tmp_path):
  truth = made_maps.MAKERS[name](tmp_path)
  (missing, first), (truncated, second) = list(truth.items())[:2]
  first.file.unlink()
  made.truncate(second.file)
  entries = _read(name, tmp_path)
  assert entries.keys() == truth.keys()
  bad = made.bad(entries.values())
  assert bad.keys() == {missing, truncated}
  file = first.file.with_suffix('.*') if name == 'holopix50k' else first.file
  assert bad[missing].startswith(f'{file}: is missing; expected the partner of {missing}.')
  assert bad[truncated].startswith(f'{second.file}: ')
  assert 'truncated' in bad[truncated] or 'cannot be read' in bad[truncated]
  assert not any('\n' in line for line in bad.values())


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_folder_of_another_dataset_is_refused_with_the_expected_files(name, tmp_path):
  made.ebb(tmp_path)
  (tmp_path / '.git').mkdir()
  message = f'{tmp_path}: holds no record; expected files '
  messages.refused(lambda: _read(name, tmp_path), message, '{')
  messages.refused(lambda: _read(name, tmp_path / 'no'), 'no: does not exist')


def test_maps_of_wrong_size_or_type_or_without_valid_pixels_are_bad_records(tmp_path):
  first, second = (want.file for want in list(made_maps.unrealstereo4k(tmp_path).values())[:2])
  np.save(first, np.ones((made.H, made.W + 1), np.float32))
  np.save(second, -np.ones((made.H, made.W), np.float32))
  bad = list(_bad('unrealstereo4k', tmp_path).values())
  assert '00000.png: is 16 x 12 pixels but Disp0/00000.npy is 17 x 12' in bad[0]
  assert '00001.npy: has no valid pixel; expected depth or disparity' in bad[1]
  made_maps.diml(tmp_path / 'diml')
  made.write(tmp_path / 'diml' / 'outdoor' / 'depthmap' / '1.png', made.matte(0))
  (message,) = _bad('diml', tmp_path / 'diml').values()
  assert 'depthmap/1.png: holds uint8 values of shape [12, 16]; expected one channel' in message


def test_diode_needs_an_image_and_a_mask_of_its_size(tmp_path):
  one, two, three, *_ = made_maps.diode(tmp_path)
  (tmp_path / f'{one}_depth_mask.npy').unlink()
  np.save(tmp_path / f'{two}_depth_mask.npy', np.ones((3, 4)))
  (tmp_path / f'{three}.png').unlink()
  bad = _bad('diode', tmp_path)
  assert bad.keys() == {one, two, three}
  assert '_depth_mask.npy: is missing' in bad[one] and 'is 4 x 3' in bad[two]
  assert f'{three}.png: is missing; expected the partner of {three}_depth.npy' in bad[three]


def test_two_maps_of_an_image_are_ambiguous(tmp_path):
  one, want = next(iter(made_maps.holopix50k(tmp_path).items()))
  made.write(want.file.with_suffix('.png'), made.matte(0))
  bad = _bad('holopix50k', tmp_path)
  assert bad.keys() == {one} and '_left.npy and anpy_left.png have the same name' in bad[one]


def test_middlebury_stores_the_headers_scale_and_needs_a_calibration(tmp_path):
  made_maps.middlebury2021(tmp_path)
  (tmp_path / 'data' / 'chess1' / 'calib.txt').unlink()
  entries = _read('middlebury2021', tmp_path)
  bad = made.bad(entries.values())
  assert bad.keys() == {'data/chess1/im0', 'data/chess1/im1'}
  assert bad['data/chess1/im1'].startswith(f'{tmp_path}/data/chess1/calib.txt: is missing')
  file = tmp_path / 'data' / 'artroom1' / 'disp0.pfm'
  first = entries['data/artroom1/im0'].load()
  assert first['pfm_scale'] == np.float32(0.003922) == np.float32(depth_formats.pfm_scale(file))
  file.write_bytes(file.read_bytes().replace(b'-0.003922\n', b'-7\n', 1))
  again = entries['data/artroom1/im0'].load()
  assert again['pfm_scale'] == 7
  np.testing.assert_array_equal(again['disparity'], first['disparity'])


def test_hypersim_plane_parallel_to_the_image_has_constant_depth(tmp_path):
  truth = made_maps.hypersim(tmp_path)
  entry = next(iter(_read('hypersim', tmp_path).values()))
  hdf5_files.write(truth[entry.name].file, dataset=3 * made_maps.rays())
  np.testing.assert_allclose(entry.load()['disparity'], 1 / 3, rtol=1e-6)


@pytest.mark.parametrize('name', ['hypersim', 'hypersim_published'])
def test_hypersim_image_does_not_depend_on_the_scale_of_light(name, tmp_path):
  made_maps.hypersim(tmp_path)
  frame = 'ai_001_000/images/scene_cam_00_final_hdf5/frame.0007.color'
  light = np.random.default_rng(0).uniform(0, 1, (made.H, made.W, 1)) ** 3 * [1, 0.5, 2]
  light[0, 0] = np.nan
  shown = []
  for scale in (1, 700, 0):
    hdf5_files.write(tmp_path / f'{frame}.hdf5', dataset=(light * scale).astype(np.float32))
    shown.append(_read(name, tmp_path)[frame].load()['image'].astype(int))
  assert np.abs(shown[0] - shown[1]).max() <= 1
  assert shown[0].max() == 255 and not shown[0][0, 0].any() and not shown[2].any()
  if name == 'hypersim':
    # A brightness of 0.8 where red, green and blue are 1 : 0.5 : 2.
    red = 0.8**2.2 / (0.3 + 0.59 / 2 + 0.11 * 2)
    bright = np.percentile((shown[0] / 255) ** 2.2, 90, axis=(0, 1))
    np.testing.assert_allclose(bright, [red, red / 2, 1], rtol=0.02)


def test_hypersim_needs_h5py_and_float_arrays_of_the_right_shape(tmp_path, monkeypatch):
  frame, want = next(iter(made_maps.hypersim(tmp_path).items()))
  photo = tmp_path / f'{frame}.hdf5'
  entry = _read('hypersim', tmp_path)[frame]
  hdf5_files.write(photo, dataset=np.ones((made.H, made.W, 4), np.float32))
  messages.refused(entry.load, 'values of shape [12, 16, 4]; expected floats [h w 3]')
  hdf5_files.write(photo, dataset=np.ones((made.H, made.W, 3), np.float32))
  hdf5_files.write(want.file, dataset=np.ones((made.H, made.W), np.int32))
  messages.refused(entry.load, 'depth_meters.hdf5: holds int32 values', 'floats [h w]')
  monkeypatch.setattr(hdf5, 'MAX_PIXELS', made.H * made.W - 1)
  messages.refused(entry.load, 'is 16 x 12 pixels', 'at most')
  monkeypatch.setitem(sys.modules, 'h5py', None)
  messages.refused(entry.load, 'h5py is not installed', "'depthjax[prepare]'")


def test_braces_in_rules_match_any_text_without_slash(tmp_path):
  names = [f'x/y+/{name}' for name in ('a(1).', 'a.b.', '{frame}.', '.hidden.', 'other-')]
  for name in (*names, '.trash/y/a.'):
    for extension in ('one.png', 'two.npy'):
      (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / f'{name}{extension}').write_text('')
  rule = '{scene}/{frame}.one.png', '{scene}/{frame}.two.npy'
  load = lambda one, two: (one.name, two.name)  # noqa: E731
  entries = layouts.matched(tmp_path, [rule], load, str.upper).entries
  assert [(entry.name, entry.group) for entry in entries] == [
    (f'{name}one', 'Y+') for name in names[:3]
  ]
  for entry in entries:
    stem = entry.name.removeprefix('x/y+/').removesuffix('one')
    assert entry.load() == (f'{stem}one.png', f'{stem}two.npy')


def test_unreadable_folder_is_refused(tmp_path, monkeypatch):
  made_maps.tartanair(tmp_path / 'air')
  error = PermissionError(13, os.strerror(13), 'Hard')
  monkeypatch.setattr(os, 'scandir', mock.Mock(side_effect=error))
  prepare = lambda: writing.prepare('tartanair', tmp_path / 'air', tmp_path / 'out')  # noqa: E731
  messages.refused(prepare, 'Hard: cannot be read (Permission denied)')


@pytest.mark.parametrize('name', catalogue.DATASETS)
def test_help_shows_layout_licence_and_conversion(name, run):
  code, out, _ = run(f'prepare {name} --help')
  text = ' '.join(out.split())
  guide = ' '.join(catalogue.DATASETS[name].guide.split())
  assert code == 0 and guide in text and f'tfds:TARGET/{name} ' in text
  assert all(words in guide for words in ('Layout', 'Licence: ', 'Conversion: '))
