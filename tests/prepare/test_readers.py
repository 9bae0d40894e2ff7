"""Readers on small datasets: their records, their order, and bad records."""

import os

import cv2
import numpy as np
import pytest

from depthjax.files import depth
from depthjax.prepare import bokeh, catalogue, cutouts, middlebury, nyuv2
from tests import messages
from tests.prepare import hdf5_files, made, made_maps

_CHANNELS = {'image': 3, 'target': 3, 'matte': 1, 'mask': 1, 'valid': 1}


def _load(found):
  return {entry.name: entry.load() for entry in found.entries}


def _check_bad(found, expected):
  """The bad entries are those expected, with the expected words."""
  bad = made.bad(found.entries)
  assert bad.keys() == expected.keys()
  for name, words in expected.items():
    assert words in bad[name]


@pytest.mark.parametrize('name', catalogue.DATASETS)
def test_records_are_sorted_and_have_the_stated_fields_and_types(name, tmp_path):
  found = catalogue.DATASETS[name].read(made_maps.make(name, tmp_path))
  names = [entry.name for entry in found.entries]
  assert names == sorted(set(names)) and len(names) >= 4
  title = catalogue.DATASETS[name].guide.partition('\n')[0]
  assert [field for field in found.fields if field not in title] == []
  for record in _load(found).values():
    assert record.keys() == set(found.fields)
    h, w = record['image'].shape[:2]
    for field in record.keys() & _CHANNELS:
      assert record[field].dtype == np.uint8
      assert record[field].shape == (h, w, _CHANNELS[field])
    if 'disparity' in record:
      assert record['disparity'].dtype == np.float32 and record['disparity'].shape == (h, w, 1)
      assert set(np.unique(record['valid'])) <= {0, 255}
      assert np.isfinite(record['disparity']).all()
      assert not record['disparity'][record['valid'] == 0].any()


@pytest.mark.parametrize('name', catalogue.DATASETS)
def test_order_does_not_depend_on_the_file_system(name, tmp_path, monkeypatch):
  path, walk = made_maps.make(name, tmp_path), os.walk
  names = [entry.name for entry in catalogue.DATASETS[name].read(path).entries]
  for method in ('iterdir', 'rglob'):
    given = getattr(type(path), method)
    reverse = lambda self, *a, given=given: iter(sorted(given(self, *a), reverse=True))  # noqa: E731
    monkeypatch.setattr(type(path), method, reverse)

  def reversed_walk(top, **options):
    for path, folders, files in walk(top, **options):
      folders.sort(reverse=True)
      yield path, folders, sorted(files, reverse=True)

  monkeypatch.setattr(os, 'walk', reversed_walk)
  assert [entry.name for entry in catalogue.DATASETS[name].read(path).entries] == names


def test_files_are_decoded_on_demand_and_stored_unchanged(tmp_path):
  made.truncate(made.ebb(tmp_path) / 'original' / '3.png')
  made.write(tmp_path / 'bokeh' / '5.png', made.picture(105).astype(np.uint16) * 257)
  entries = bokeh.ebb(tmp_path).entries
  assert [entry.name for entry in entries] == [str(i) for i in range(8)]
  record = entries[5].load()
  np.testing.assert_array_equal(record['image'], made.picture(5))
  np.testing.assert_array_equal(record['target'], made.picture(105))


def test_ebb_with_disparity_of_a_predictor(tmp_path):
  made.ebb(tmp_path, 3)
  values = np.linspace(0, 1, made.H * made.W, dtype=np.float32).reshape(made.H, made.W)
  (tmp_path / 'disparity').mkdir()
  for i in (0, 2):
    depth.write_depth(tmp_path / 'disparity' / f'{i}.pfm', 3 + 4 * values)
  found = bokeh.ebb(tmp_path)
  assert found.fields == ('image', 'target', 'disparity', 'valid')
  np.testing.assert_allclose(found.entries[0].load()['disparity'][..., 0], values, atol=1e-6)
  _check_bad(found, {'1': 'has no map in disparity/'})


def test_blb_has_one_record_per_image_and_one_group_per_scene(tmp_path):
  found = bokeh.blb(made.blb(tmp_path))
  names = [entry.name for entry in found.entries]
  assert names[:3] == ['270/bokeh_00_00', '270/bokeh_00_01', '270/bokeh_01_00']
  assert {entry.group for entry in found.entries} == {'270', '271', '272'}
  record = found.entries[6].load()  # Scene 271, level 1, focus 0.
  np.testing.assert_array_equal(record['image'], made.picture(1))
  np.testing.assert_array_equal(record['target'], made.picture(16))
  np.testing.assert_allclose(record['disparity'][..., 0], 1 / made.blb_depth(1), rtol=1e-6)
  assert (record['blur'], record['focus']) == (8, 1)
  assert found.entries[7].load()['focus'] == 0.25  # At a distance of 4.


def test_blb_exr_is_linear_light_with_a_gamma_of_2_2(tmp_path):
  pytest.importorskip('OpenEXR')
  record = bokeh.blb(made.blb(tmp_path, kind='.exr')).entries[0].load()
  np.testing.assert_array_equal(record['image'], made.picture(0))
  np.testing.assert_array_equal(record['target'], made.picture(10))


def test_blb_lens_file_has_distances_or_disparities(tmp_path):
  file = made.blb(tmp_path) / 'info.json'
  file.write_text('{"blur_parameters": [1, 2], "focus_distances": [0.3, 0.9]}')
  assert bokeh.blb(tmp_path).entries[1].load()['focus'] == np.float32(0.9)
  file.write_text('{"blur_parameters": [1, 2], "focus_distances": [0.3, 9]}')
  bad = made.bad(bokeh.blb(tmp_path).entries)
  assert 'which does not include focus_distances' in bad['271/bokeh_00_00']
  file.write_text('{"blur_parameters": [1], "focus_distances": [0.3, 0.9]}')
  bad = made.bad(bokeh.blb(tmp_path).entries)
  assert len(bad) == 6 and 'of level 1 and focus 0, which its JSON' in bad['271/bokeh_01_00']
  for values in ('3', '[NaN, 2]', '[]'):
    file.write_text(f'{{"blur_parameters": {values}, "focus_distances": [1, 2]}}')
    messages.refused(lambda: bokeh.blb(tmp_path), 'info.json: cannot be read', 'JSON with lists')


def test_blb_without_lens_file_has_no_blur_and_names_missing_files(tmp_path):
  made.blb(tmp_path, scenes=4, lens=False)
  (tmp_path / '270' / 'depth.pfm').unlink()
  for file in (tmp_path / '271').glob('bokeh*'):
    file.unlink()
  (tmp_path / '272' / 'bokeh_00_00.tif').write_bytes(b'')
  depth.write_depth(tmp_path / '273' / 'depth.pfm', 0 * made.blb_depth(0))
  found = bokeh.blb(tmp_path)
  assert found.fields == ('image', 'target', 'disparity', 'valid')
  bokehs = ('bokeh_00_00', 'bokeh_00_01', 'bokeh_01_00', 'bokeh_01_01')
  expected = {f'270/{name}': 'has neither depth nor disparity' for name in bokehs}
  expected |= {f'273/{name}': 'depth.pfm: has no valid pixel' for name in bokehs}
  expected['271'] = 'has no bokeh_LL_FF'
  expected['272/bokeh_00_00'] = 'bokeh_00_00.png and bokeh_00_00.tif have the same name'
  _check_bad(found, expected)


def test_middlebury_of_all_years(tmp_path):
  found = middlebury.middlebury(made.middlebury(tmp_path))
  records = _load(found)
  assert list(records) == ['2001/venus', '2003/cones', '2005/Art', '2014/Bike-perfect']
  assert found.entries[3].group == 'Bike'
  for name, h, scale in (('2001/venus', 383, 8), ('2003/cones', 375, 4), ('2005/Art', 370, 3)):
    assert records[name]['unit'] == 'px'
    np.testing.assert_allclose(records[name]['disparity'][..., 0], made.levels(h) / scale)
    np.testing.assert_array_equal(records[name]['valid'][..., 0] > 0, made.levels(h) > 0)
    np.testing.assert_array_equal(records[name]['image'], made.picture(1, h, made.W))
  new, pixels = records['2014/Bike-perfect'], made.pixels()
  assert new['unit'] == '1/m'
  known = np.isfinite(pixels)
  np.testing.assert_array_equal(new['valid'][..., 0] > 0, known)
  want = (pixels[known] + 2.5) / (500.5 * 0.2)
  np.testing.assert_allclose(new['disparity'][known][:, 0], want, rtol=1e-6)


def test_middlebury_bad_scenes(tmp_path):
  made.middlebury(tmp_path)
  (tmp_path / '2014' / 'Bike-perfect' / 'calib.txt').write_text('cam0=[1 0 0]\nbaseline=zero\n')
  (tmp_path / '2003' / 'cones' / 'disp2.png').unlink()
  made.write(tmp_path / '2005' / 'Art' / 'view1.png', made.picture(0, 444, made.W))
  made.write(tmp_path / '2005' / 'Art' / 'disp1.png', made.levels(444))
  made.write(tmp_path / '2001' / 'venus' / 'disp2.pgm', made.levels(382))
  expected = {
    '2014/Bike-perfect': 'calib.txt: has no cam0, baseline and doffs',
    '2003/cones': 'cones: has no pair of view and disparity; expected im2 with disp2',
    '2005/Art': 'height 444 with an unknown scale',
    '2001/venus': 'im2.ppm: is 16 x 383 pixels but venus/disp2.pgm is 16 x 382',
  }
  _check_bad(middlebury.middlebury(tmp_path), expected)


@pytest.mark.parametrize('photos', ['original', 'original_image', 'blurred_image', 'image'])
@pytest.mark.parametrize('mattes', ['mask', 'alpha'])
def test_mattes_are_stored_unchanged(photos, mattes, tmp_path):
  record = cutouts.matting(made.matting(tmp_path, photos, mattes)).entries[4].load()
  np.testing.assert_array_equal(record['image'], made.picture(4))
  np.testing.assert_array_equal(record['matte'][..., 0], made.matte(4))


def test_matte_is_grey_of_8_or_16_bits_with_an_opaque_pixel(tmp_path):
  folder = made.matting(tmp_path) / 'mask'
  made.write(folder / 'o_0.png', np.repeat(made.matte(0)[..., None], 3, 2))
  made.write(folder / 'o_1.png', made.matte(1).astype(np.uint16) * 257)
  made.write(folder / 'o_2.png', made.picture(2))
  made.write(folder / 'o_3.png', np.full((made.H, made.W), 200, np.uint8))
  found = cutouts.matting(tmp_path)
  for i in range(2):
    np.testing.assert_array_equal(found.entries[i].load()['matte'][..., 0], made.matte(i))
  _check_bad(found, {'o_2': 'o_2.png: is a colour image', 'o_3': 'o_3.png: has no opaque pixel'})


@pytest.mark.parametrize('name', ['duts', 'msra10k'])
def test_masks_are_binary(name, tmp_path):
  entry = catalogue.DATASETS[name].read(made.MAKERS[name](tmp_path)).entries[1]
  want = np.where(made.matte(1) >= 128, 255, 0)
  np.testing.assert_array_equal(entry.load()['mask'][..., 0], want)


def test_duts_prefers_the_training_set(tmp_path):
  made.matting(tmp_path, 'DUTS-TE-Image', 'DUTS-TE-Mask', 5)
  assert len(cutouts.duts(tmp_path).entries) == 5
  made.duts(tmp_path)
  assert len(cutouts.duts(tmp_path).entries) == 8


def test_bad_pairs_are_bad_entries_and_hidden_files_are_ignored(tmp_path):
  made.ebb(tmp_path)
  (tmp_path / 'bokeh' / '1.png').unlink()
  (tmp_path / 'original' / '2.png').unlink()
  made.truncate(tmp_path / 'bokeh' / '3.png')
  made.write(tmp_path / 'bokeh' / '4.png', made.picture(0, h=13))
  cv2.imwrite(str(tmp_path / 'original' / '5.jpg'), made.picture(5))
  (tmp_path / 'original' / '._6.png').write_bytes(b'hidden')
  (tmp_path / 'original' / 'Thumbs.db').write_bytes(b'not an image')
  expected = {
    '1': 'original/1.png: has no partner of the same name',
    '2': 'bokeh/2.png: has no partner of the same name',
    '3': 'bokeh/3.png: is truncated or damaged',
    '4': 'original/4.png: is 16 x 12 pixels but bokeh/4.png is 16 x 13 (width x height)',
    '5': 'original/5.jpg: is ambiguous: 5.jpg and 5.png have the same name',
  }
  _check_bad(bokeh.ebb(tmp_path), expected)


def test_nyuv2_folders_hold_millimetres_with_unknown_pixels(tmp_path):
  record = nyuv2.nyuv2(made.nyuv2(tmp_path)).entries[2].load()
  metres = made.millimetres(2) / 1000
  known = metres > 0
  np.testing.assert_array_equal(record['valid'][..., 0] == 255, known)
  np.testing.assert_allclose(record['disparity'][known][:, 0], 1 / metres[known], rtol=1e-6)
  made.write(tmp_path / 'depth' / '2.png', np.zeros((made.H, made.W), np.uint16))
  _check_bad(nyuv2.nyuv2(tmp_path), {'2': 'has no valid pixel'})


def test_nyuv2_matlab_file_has_completed_depth_and_scenes(tmp_path):
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
      record, known = entry.load(), raw[i].T > 0
      np.testing.assert_array_equal(record['image'], made.picture(i))
      np.testing.assert_array_equal(record['valid'][..., 0] > 0, known)
      disparity = record['disparity'][..., 0]
      np.testing.assert_allclose(disparity[known], 1 / completed[i].T[known], rtol=1e-6)
  hdf5_files.write(path, images=images, depths=completed[:3], rawDepths=raw)
  messages.refused(lambda: nyuv2.nyuv2(path), 'holds 4 images, and another number of depths')
  made.truncate(path)
  messages.refused(lambda: nyuv2.nyuv2(path), 'labeled.mat: cannot be read', ', complete')
