"""Every reader on a made folder: what it finds, in which order, and what it says of bad records."""

import functools
import os
import sys

import cv2
import numpy as np
import pytest

from depthjax.files import depth
from depthjax.files.errors import InputError
from depthjax.prepare import bokeh, catalogue, cutouts, middlebury
from tests.prepare import hdf5_files, made, made_maps

_PICTURES = {'image', 'target'}
_GREY = {'matte', 'mask', 'valid'}


def _load(found):
  return {entry.name: entry.load() for entry in found.entries}


@pytest.mark.parametrize('name', catalogue.DATASETS)
def test_records_come_by_name_with_the_fields_and_kinds_that_were_promised(
  name, tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'h5py', hdf5_files.MODULE)
  found = catalogue.DATASETS[name].read(made_maps.make(name, tmp_path))
  names = [entry.name for entry in found.entries]
  assert names == sorted(set(names)) and len(names) >= 4
  title = catalogue.DATASETS[name].guide.partition('\n')[0]
  assert [field for field in found.fields if field not in title] == []
  for record in _load(found).values():
    assert record.keys() == set(found.fields)
    h, w = record['image'].shape[:2]
    for field in record.keys() & (_PICTURES | _GREY):
      assert record[field].dtype == np.uint8
      assert record[field].shape == (h, w, 3 if field in _PICTURES else 1)
    if 'disparity' in record:
      assert record['disparity'].dtype == np.float32 and record['disparity'].shape == (h, w, 1)
      assert set(np.unique(record['valid'])) <= {0, 255}
      assert np.isfinite(record['disparity']).all()
      assert not record['disparity'][record['valid'] == 0].any()


@pytest.mark.parametrize('name', catalogue.DATASETS)
def test_the_order_is_not_that_of_the_file_system(name, tmp_path, monkeypatch):
  place = made_maps.make(name, tmp_path)
  names = [entry.name for entry in catalogue.DATASETS[name].read(place).entries]
  for method in ('iterdir', 'rglob'):
    given = getattr(type(place), method)
    turned = lambda self, *a, given=given: iter(sorted(given(self, *a), reverse=True))  # noqa: E731
    monkeypatch.setattr(type(place), method, turned)
  monkeypatch.setattr(os, 'walk', functools.partial(_turned, os.walk))
  assert [entry.name for entry in catalogue.DATASETS[name].read(place).entries] == names


def _turned(walk, top, **options):
  for place, folders, files in walk(top, **options):
    folders.sort(reverse=True)
    yield place, folders, sorted(files, reverse=True)


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path):
  made.truncate(made.ebb(tmp_path) / 'original' / '3.png')
  assert len(bokeh.ebb(tmp_path).entries) == 8


def test_ebb_pairs_are_as_stored(tmp_path):
  records = _load(bokeh.ebb(made.ebb(tmp_path)))
  assert list(records) == [str(i) for i in range(8)]
  np.testing.assert_array_equal(records['5']['image'], made.picture(5))
  np.testing.assert_array_equal(records['5']['target'], made.picture(105))


def test_ebb_with_maps_of_a_predictor(tmp_path):
  made.ebb(tmp_path, 3)
  values = np.linspace(0, 1, made.H * made.W, dtype=np.float32).reshape(made.H, made.W)
  (tmp_path / 'disparity').mkdir()
  for i in range(3):
    depth.write_depth(tmp_path / 'disparity' / f'{i}.pfm', 3 + 4 * values)
  (tmp_path / 'disparity' / '1.pfm').unlink()
  found = bokeh.ebb(tmp_path)
  assert found.fields == ('image', 'target', 'disparity', 'valid')
  np.testing.assert_allclose(found.entries[0].load()['disparity'][..., 0], values, atol=1e-6)
  assert made.bad(found.entries).keys() == {'1'}


def test_blb_is_a_record_a_picture_and_a_group_a_scene(tmp_path):
  found = bokeh.blb(made.blb(tmp_path))
  assert [entry.name for entry in found.entries][:3] == [
    '270/bokeh_00_00',
    '270/bokeh_00_01',
    '270/bokeh_01_00',
  ]
  assert {entry.group for entry in found.entries} == {'270', '271', '272'}
  record = found.entries[6].load()  # scene 271, level 1, focus 0
  np.testing.assert_array_equal(record['image'], made.picture(1))
  np.testing.assert_array_equal(record['target'], made.picture(16))
  np.testing.assert_allclose(record['disparity'][..., 0], 1 / made.blb_depth(1), rtol=1e-6)
  assert (record['blur'], record['focus']) == (8, 1)
  assert found.entries[7].load()['focus'] == 0.25  # at a distance of 4


def test_blb_in_exr_is_linear_light_to_the_power_of_1_over_2_2(tmp_path):
  pytest.importorskip('OpenEXR')
  record = bokeh.blb(made.blb(tmp_path, kind='.exr')).entries[0].load()
  np.testing.assert_array_equal(record['image'], made.picture(0))
  np.testing.assert_array_equal(record['target'], made.picture(10))


def test_blb_focus_given_as_disparities_is_taken_as_such(tmp_path):
  made.blb(tmp_path)
  (tmp_path / 'info.json').write_text('{"blur_parameters": [1, 2], "focus_distances": [0.3, 0.9]}')
  assert bokeh.blb(tmp_path).entries[1].load()['focus'] == np.float32(0.9)
  (tmp_path / 'info.json').write_text('{"blur_parameters": [1, 2], "focus_distances": [0.3, 9]}')
  assert (
    'where none of focus_distances lie' in made.bad(bokeh.blb(tmp_path).entries)['271/bokeh_00_00']
  )
  (tmp_path / 'info.json').write_text('{"blur_parameters": [1], "focus_distances": [0.3, 0.9]}')
  assert len(made.bad(bokeh.blb(tmp_path).entries)) == 6  # those of level 1
  (tmp_path / 'info.json').write_text('{"blur_parameters": 3}')
  with pytest.raises(InputError, match='info.json: cannot be read'):
    bokeh.blb(tmp_path)


def test_blb_without_a_lens_file_has_no_lens_and_says_what_else_is_missing(tmp_path):
  made.blb(tmp_path, lens=False)
  (tmp_path / '270' / 'depth.pfm').unlink()
  for file in (tmp_path / '271').glob('bokeh*'):
    file.unlink()
  (tmp_path / '272' / 'bokeh_00_00.tif').write_bytes(b'')
  found = bokeh.blb(tmp_path)
  assert found.fields == ('image', 'target', 'disparity', 'valid')
  messages = made.bad(found.entries)
  assert len(messages) == 6
  assert 'has neither depth nor disparity' in messages['270/bokeh_01_01']
  assert 'has no bokeh_LL_FF' in messages['271']
  assert 'bokeh_00_00.png and bokeh_00_00.tif share a name' in messages['272/bokeh_00_00']


def test_blb_without_a_valid_depth_is_a_bad_record_and_not_the_end(tmp_path):
  made.blb(tmp_path)
  depth.write_depth(tmp_path / '270' / 'depth.pfm', 0 * made.blb_depth(0))
  messages = made.bad(bokeh.blb(tmp_path).entries)
  assert len(messages) == 4 and 'depth.pfm: has no valid pixel' in messages['270/bokeh_00_00']


@pytest.mark.parametrize('number', ['NaN', 'Infinity'])
def test_blb_with_a_lens_that_is_no_number_is_refused(tmp_path, number):
  made.blb(tmp_path)
  lens = tmp_path / 'info.json'
  lens.write_text(f'{{"blur_parameters": [{number}, 2], "focus_distances": [1, 2]}}')
  with pytest.raises(InputError, match='no lists of finite numbers'):
    bokeh.blb(tmp_path)


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


def test_middlebury_says_what_is_wrong_with_a_scene(tmp_path):
  made.middlebury(tmp_path)
  (tmp_path / '2014' / 'Bike-perfect' / 'calib.txt').write_text('cam0=[1 0 0]\nbaseline=zero\n')
  (tmp_path / '2003' / 'cones' / 'disp2.png').unlink()
  made.write(tmp_path / '2005' / 'Art' / 'view1.png', made.picture(0, 444, made.W))
  made.write(tmp_path / '2005' / 'Art' / 'disp1.png', made.levels(444))
  made.write(tmp_path / '2001' / 'venus' / 'disp2.pgm', made.levels(382))
  messages = made.bad(middlebury.middlebury(tmp_path).entries)
  assert 'calib.txt: has no cam0, baseline and doffs' in messages['2014/Bike-perfect']
  assert 'cones: has no pair of view and disparity' in messages['2003/cones']
  assert 'height 444 whose scale is not known' in messages['2005/Art']
  assert 'im2.ppm: is 16 x 383 pixels but venus/disp2.pgm is 16 x 382' in messages['2001/venus']


@pytest.mark.parametrize('photos', ['original', 'original_image', 'blurred_image', 'image'])
@pytest.mark.parametrize('mattes', ['mask', 'alpha'])
def test_mattes_are_as_stored(photos, mattes, tmp_path):
  record = cutouts.matting(made.matting(tmp_path, photos, mattes)).entries[4].load()
  np.testing.assert_array_equal(record['image'], made.picture(4))
  np.testing.assert_array_equal(record['matte'][..., 0], made.matte(4))


def test_mattes_of_other_kinds_of_file(tmp_path):
  place = made.matting(tmp_path) / 'mask'
  made.write(place / 'o_0.png', np.repeat(made.matte(0)[..., None], 3, 2))
  made.write(place / 'o_1.png', made.matte(1).astype(np.uint16) * 257)
  made.write(place / 'o_2.png', made.picture(2))
  made.write(place / 'o_3.png', np.full((made.H, made.W), 200, np.uint8))
  entries = cutouts.matting(tmp_path).entries
  for i in range(2):
    np.testing.assert_array_equal(entries[i].load()['matte'][..., 0], made.matte(i))
  messages = made.bad(entries)
  assert messages.keys() == {'o_2', 'o_3'}
  assert 'o_2.png: is a coloured picture; expected a grey matte' in messages['o_2']
  assert 'o_3.png: has no opaque pixel' in messages['o_3']


@pytest.mark.parametrize('name', ['duts', 'msra10k'])
def test_masks_are_binary(name, tmp_path):
  entry = catalogue.DATASETS[name].read(made.MAKERS[name](tmp_path)).entries[1]
  np.testing.assert_array_equal(
    entry.load()['mask'][..., 0], np.where(made.matte(1) >= 128, 255, 0)
  )


def test_duts_trains_on_the_training_part(tmp_path):
  made.matting(tmp_path, 'DUTS-TE-Image', 'DUTS-TE-Mask', 5)
  assert len(cutouts.duts(tmp_path).entries) == 5
  made.duts(tmp_path)
  assert len(cutouts.duts(tmp_path).entries) == 8


def test_bad_pairs_are_entries_that_say_so(tmp_path):
  made.ebb(tmp_path)
  (tmp_path / 'bokeh' / '1.png').unlink()
  (tmp_path / 'original' / '2.png').unlink()
  made.truncate(tmp_path / 'bokeh' / '3.png')
  made.write(tmp_path / 'bokeh' / '4.png', made.picture(0, h=13))
  cv2.imwrite(str(tmp_path / 'original' / '5.jpg'), made.picture(5))
  (tmp_path / 'original' / '._6.png').write_bytes(b'a fork')
  (tmp_path / 'original' / 'Thumbs.db').write_bytes(b'no picture')
  messages = made.bad(bokeh.ebb(tmp_path).entries)
  wanted = {
    '1': 'original/1.png: has no partner of the same name',
    '2': 'bokeh/2.png: has no partner of the same name',
    '3': 'bokeh/3.png: is truncated or damaged',
    '4': 'original/4.png: is 16 x 12 pixels but bokeh/4.png is 16 x 13 (width x height)',
    '5': 'original/5.jpg: is ambiguous: 5.jpg and 5.png share a name',
  }
  assert messages.keys() == wanted.keys()
  for name, words in wanted.items():
    assert words in messages[name]
