"""Datasets of depth and disparity: what is stored is true, and what is wrong is named."""

import os
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from depthjax.data.records import evaluation
from depthjax.files import depth_formats
from depthjax.files.errors import InputError
from depthjax.prepare import catalogue, hdf5, layouts, writing
from tests import messages
from tests.prepare import hdf5_files, made, made_maps


@pytest.fixture(autouse=True)
def fixture_hdf5(monkeypatch):
  """A stand-in where h5py is not installed."""
  monkeypatch.setitem(sys.modules, 'h5py', hdf5_files.MODULE)


def _read(name, source):
  return {entry.name: entry for entry in catalogue.DATASETS[name].read(source).entries}


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_what_is_read_back_is_true(name, tmp_path):
  truth = made_maps.MAKERS[name](tmp_path / 'source')
  done = writing.prepare(name, tmp_path / 'source', tmp_path / 'target')
  assert done.skipped == []
  stored = {
    record['name']: record for record in evaluation.open_records(f'tfds:{done.folder}', 'all')
  }
  assert stored.keys() == truth.keys()
  for key, record in stored.items():
    want = truth[key]
    # Two powers may round to either side of a half.
    np.testing.assert_allclose(record['image'] * 255, want.image, atol=1.01 * ('hyper' in name))
    np.testing.assert_array_equal(record['valid'][..., 0] == 1, want.valid)
    np.testing.assert_allclose(record['disparity'][..., 0], want.disparity, rtol=2e-6)
    assert record['disparity'].dtype == np.float32 and record['unit'] == want.unit


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_groups_are_held_out_as_a_whole(name, tmp_path):
  truth = made_maps.MAKERS[name](tmp_path / 'source')
  assert {key: entry.group for key, entry in _read(name, tmp_path / 'source').items()} == {
    key: want.group for key, want in truth.items()
  }
  done = writing.prepare(name, tmp_path / 'source', tmp_path / 'target')
  builder = tfds.builder_from_directory(done.folder)
  split_of = {}
  for split in writing.SPLITS:
    for record in builder.as_data_source(split=split):
      split_of.setdefault(truth[record['name'].decode()].group, set()).add(split)
  assert {len(splits) for splits in split_of.values()} == {1}
  assert set.union(*split_of.values()) == set(writing.SPLITS)


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_a_map_that_is_missing_or_broken_is_named(name, tmp_path):
  truth = made_maps.MAKERS[name](tmp_path)
  (missing, first), (broken, second) = list(truth.items())[:2]
  first.file.unlink()
  made.truncate(second.file)
  entries = _read(name, tmp_path)
  assert entries.keys() == truth.keys()
  said = made.bad(entries.values())
  assert said.keys() == {missing, broken}
  file = first.file.with_suffix('.*') if name == 'holopix50k' else first.file
  assert said[missing].startswith(f'{file}: is missing; expected the partner of {missing}.')
  assert said[broken].startswith(f'{second.file}: ')
  assert 'truncated' in said[broken] or 'cannot be read' in said[broken]
  assert not any('\n' in line for line in said.values())


@pytest.mark.parametrize('name', made_maps.MAKERS)
def test_a_folder_of_something_else_is_refused_with_what_was_expected(name, tmp_path):
  made.ebb(tmp_path)
  (tmp_path / '.git').mkdir()
  with pytest.raises(InputError, match='holds no record; expected files .*{') as caught:
    catalogue.DATASETS[name].read(tmp_path)
  assert caught.value.path == tmp_path
  with pytest.raises(InputError, match='no: does not exist'):
    catalogue.DATASETS[name].read(tmp_path / 'no')


def test_pictures_are_missed_as_maps_are(tmp_path):
  made_maps.tartanair(tmp_path)
  photo = tmp_path / 'ocean' / 'Easy' / 'P000' / 'image_left' / '000001_left.png'
  photo.unlink()
  said = made.bad(_read('tartanair', tmp_path).values())
  assert list(said) == ['ocean/Easy/P000/image_left/000001_left']
  right = 'the partner of ocean/Easy/P000/depth_left/000001_left_depth.npy'
  assert next(iter(said.values())) == f'{photo}: is missing; expected {right}'


def test_a_size_that_differs_and_a_map_of_nothing(tmp_path):
  first, second = (want.file for want in list(made_maps.unrealstereo4k(tmp_path).values())[:2])
  np.save(first, np.ones((made.H, made.W + 1), np.float32))
  np.save(second, -np.ones((made.H, made.W), np.float32))
  said = list(made.bad(_read('unrealstereo4k', tmp_path).values()).values())
  assert '00000.png: is 16 x 12 pixels but Disp0/00000.npy is 17 x 12' in said[0]
  assert '00001.npy: has no valid pixel; expected disparity' in said[1]
  want = next(iter(made_maps.hrwsi(tmp_path / 'hrwsi').values()))
  made.write(want.file, made.matte(0, made.H, made.W + 1))
  (said,) = made.bad(_read('hrwsi', tmp_path / 'hrwsi').values()).values()
  assert 'w0.jpg: is 16 x 12 pixels but gts/w0.png is 17 x 12' in said


def test_diode_needs_its_masks(tmp_path):
  one, two, *_ = made_maps.diode(tmp_path)
  (tmp_path / f'{one}_depth_mask.npy').unlink()
  np.save(tmp_path / f'{two}_depth_mask.npy', np.ones((3, 4)))
  said = made.bad(_read('diode', tmp_path).values())
  assert said.keys() == {one, two}
  assert '_depth_mask.npy: is missing' in said[one] and 'but' in said[two] and '4 x 3' in said[two]


def test_diml_takes_no_eight_bits_for_millimetres(tmp_path):
  file = tmp_path / 'outdoor' / 'depthmap' / '1.png'
  made_maps.diml(tmp_path)
  made.write(file, made.matte(0))
  said = made.bad(_read('diml', tmp_path).values())
  assert said.keys() == {'outdoor/outleft/1'}
  assert 'holds uint8 values of shape [12, 16]; expected one channel of 16 bits' in next(
    iter(said.values())
  )


def test_two_maps_of_a_picture_are_ambiguous(tmp_path):
  one, want = next(iter(made_maps.holopix50k(tmp_path).items()))
  made.write(want.file.with_suffix('.png'), made.matte(0))
  said = made.bad(_read('holopix50k', tmp_path).values())
  assert said.keys() == {one} and 'a0_left.npy and a0_left.png share a name' in said[one]


def test_middlebury_keeps_the_scale_of_the_header_and_needs_its_calibration(tmp_path):
  made_maps.middlebury2021(tmp_path)
  (tmp_path / 'data' / 'chess1' / 'calib.txt').unlink()
  entries = _read('middlebury2021', tmp_path)
  said = made.bad(entries.values())
  assert said.keys() == {'data/chess1/im0', 'data/chess1/im1'}
  assert said['data/chess1/im1'].startswith(f'{tmp_path}/data/chess1/calib.txt: is missing')
  file = tmp_path / 'data' / 'artroom1' / 'disp0.pfm'
  first = entries['data/artroom1/im0'].load()
  assert first['pfm_scale'] == np.float32(0.003922) == np.float32(depth_formats.pfm_scale(file))
  file.write_bytes(file.read_bytes().replace(b'-0.003922\n', b'-7\n', 1))
  again = entries['data/artroom1/im0'].load()
  assert again['pfm_scale'] == 7
  np.testing.assert_array_equal(again['disparity'], first['disparity'])


def test_a_plane_before_hypersims_camera_is_flat(tmp_path):
  truth = made_maps.hypersim(tmp_path)
  entry = next(iter(_read('hypersim', tmp_path).values()))
  hdf5_files.write(truth[entry.name].file, 3 * made_maps.rays())
  np.testing.assert_allclose(entry.load()['disparity'], 1 / 3, rtol=1e-6)


@pytest.mark.parametrize('name', ['hypersim', 'hypersim_published'])
def test_hypersims_light_is_shown_whatever_its_scale(name, tmp_path):
  made_maps.hypersim(tmp_path)
  frame = 'ai_001_000/images/scene_cam_00_final_hdf5/frame.0007.color'
  light = np.random.default_rng(0).uniform(0, 1, (made.H, made.W, 1)) ** 3 * [1, 0.5, 2]
  light[0, 0] = np.nan
  shown = []
  for scale in (1, 700, 0):
    hdf5_files.write(tmp_path / f'{frame}.hdf5', (light * scale).astype(np.float32))
    shown.append(_read(name, tmp_path)[frame].load()['image'].astype(int))
  assert np.abs(shown[0] - shown[1]).max() <= 1
  assert shown[0].max() == 255 and not shown[0][0, 0].any() and not shown[2].any()
  if name == 'hypersim':
    # A brightness of 0.8 where red, green and blue are 1 : 0.5 : 2.
    red = 0.8**2.2 / (0.3 + 0.59 / 2 + 0.11 * 2)
    bright = np.percentile((shown[0] / 255) ** 2.2, 90, axis=(0, 1))
    np.testing.assert_allclose(bright, [red, red / 2, 1], rtol=0.02)


def test_hypersim_without_the_library_or_with_another_array(tmp_path, monkeypatch):
  frame, want = next(iter(made_maps.hypersim(tmp_path).items()))
  hdf5_files.write(tmp_path / f'{frame}.hdf5', np.ones((made.H, made.W, 4), np.float32))
  entry = _read('hypersim', tmp_path)[frame]
  with pytest.raises(InputError, match=r'values of shape \[12, 16, 4\]; expected floats \[h w 3\]'):
    entry.load()
  hdf5_files.write(tmp_path / f'{frame}.hdf5', np.ones((made.H, made.W, 3), np.float32))
  hdf5_files.write(want.file, np.ones((made.H, made.W), np.int32))
  with pytest.raises(InputError, match=r'depth_meters.hdf5: holds int32 values .* floats \[h w\]'):
    entry.load()
  monkeypatch.setattr(hdf5, 'MAX_PIXELS', made.H * made.W - 1)
  with pytest.raises(InputError, match='is 16 x 12 pixels .* at most'):
    entry.load()
  monkeypatch.setitem(sys.modules, 'h5py', None)
  with pytest.raises(InputError, match=r"h5py is not installed; .*'depthjax\[prepare\]'"):
    entry.load()


def test_exr_without_the_library(tmp_path, monkeypatch):
  made_maps.irs(tmp_path)
  monkeypatch.setitem(sys.modules, 'OpenEXR', None)
  said = made.bad(_read('irs', tmp_path).values())
  assert len(said) == 8
  assert all('OpenEXR is not installed; expected the optional' in line for line in said.values())


def test_a_rule_takes_words_as_they_are(tmp_path):
  names = [f'x/y+/{name}' for name in ('a(1).', 'a.b.', '{frame}.', '.hidden.', 'other-')]
  for name in (*names, '.trash/y/a.'):
    for ending in ('one.png', 'two.npy'):
      (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / f'{name}{ending}').write_text('')
  rule = '{scene}/{frame}.one.png', '{scene}/{frame}.two.npy'
  entries = layouts.matched(tmp_path, [rule], lambda one, two: (one.name, two.name), str.upper)
  assert [(entry.name, entry.group) for entry in entries] == [
    (f'{name}one', 'Y+') for name in names[:3]
  ]
  for entry in entries:
    stem = entry.name.removeprefix('x/y+/').removesuffix('one')
    assert entry.load() == (f'{stem}one.png', f'{stem}two.npy')


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
  made_maps.tartanair(tmp_path / 'air')
  scan = os.scandir

  def refuse(place):
    if str(place).endswith('Hard'):
      raise PermissionError(13, os.strerror(13), str(place))
    return scan(place)

  monkeypatch.setattr(os, 'scandir', refuse)
  with pytest.raises(InputError, match='Hard: cannot be read .Permission denied.'):
    writing.prepare('tartanair', tmp_path / 'air', tmp_path / 'out')


@pytest.mark.parametrize('name', [*catalogue.DATASETS, 'scenes'])
def test_the_help_shows_the_layout(name, run):
  code, out, _ = run(f'prepare {name} --help')
  text = ' '.join(out.split())
  assert code == 0
  if name != 'scenes':
    guide = ' '.join(catalogue.DATASETS[name].guide.split())
    for words in ('Layout', 'Licence: ', 'What becomes of it: '):
      assert words in guide
    assert 'Raises' not in guide
    assert guide in text and f'tfds:TARGET/{name} ' in text


def test_the_command_says_which_file_is_missing(run, tmp_path):
  next(iter(made_maps.tartanair(tmp_path / 'air').values())).file.unlink()
  code, _, err = run('prepare tartanair --source air --target out')
  assert code == 2
  messages.assert_one_line(
    err, 'air: 1 of 8 records are bad the first: depth_left/000000_left_depth.npy: is missing'
  )
  assert not (tmp_path / 'out').exists()
