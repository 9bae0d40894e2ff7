"""Readers of transparent and mirror surfaces: metric disparity, masks of all codings, bad files."""

import pathlib

import numpy as np
import pytest

from depthjax.prepare import tom
from tests.prepare import made, made_maps


def test_booster_has_metric_disparity_and_one_record_per_light(tmp_path):
  found = tom.booster(made.booster(tmp_path))
  names = [f'train/balanced/S{i}/camera_00/im{light}' for i in range(4) for light in range(2)]
  assert [entry.name for entry in found.entries] == names
  assert {entry.group for entry in found.entries} == {'S0', 'S1', 'S2', 'S3'}
  first, second = (entry.load() for entry in found.entries[2:4])
  np.testing.assert_array_equal(second['image'], made.picture(3))
  scene = tmp_path / 'train' / 'balanced' / 'S1'
  pixels = np.load(scene / 'disp_00.npy')[..., None]
  np.testing.assert_array_equal(first['valid'] > 0, pixels > 0)
  np.testing.assert_allclose(first['disparity'], pixels / 30, rtol=1e-6)  # 500 px x 0.06 m.
  assert first['unit'] == '1/m'
  for name in ('disparity', 'valid', 'tom'):
    np.testing.assert_array_equal(first[name], second[name])
  classes = np.random.default_rng(1)
  classes.uniform(20, 60, pixels.shape)
  want = classes.integers(0, 4, pixels.shape, dtype=np.uint8) >= 2
  np.testing.assert_array_equal(first['tom'], 255 * want)
  assert not found.entries[-1].load()['tom'].any()


def test_booster_scenes_with_bad_files(tmp_path):
  root = made.booster(tmp_path) / 'train' / 'balanced'
  made.write(root / 'S0' / 'mask_cat.png', made.matte(0))
  (root / 'S1' / 'disp_00.npy').unlink()
  np.save(root / 'S2' / 'disp_00.npy', np.ones((3, 4), np.float32))
  made.write(root / 'S3' / 'mask_cat.png', np.zeros((3, 4), np.uint8))
  bad = made.bad(tom.booster(tmp_path).entries)
  lines = [bad[f'train/balanced/S{i}/camera_00/im0'] for i in range(4)]
  wrong = 'holds values up to 255; expected classes of material, 0 to 3'
  assert lines[0].endswith(f'S0/mask_cat.png: {wrong}')
  assert 'S1/disp_00.npy: does not exist' in lines[1]
  assert 'im0.png: is 16 x 12 pixels but S2/disp_00.npy is 4 x 3' in lines[2]
  assert 'im0.png: is 16 x 12 pixels but S3/mask_cat.png is 4 x 3' in lines[3]


_TEXTS = '', 'cam0=3', made.BOOSTER.replace('baseline', 'base'), made.BOOSTER[:200]


@pytest.mark.parametrize('text', _TEXTS)
def test_booster_needs_its_calibration(text, tmp_path):
  (made.booster(tmp_path) / 'train' / 'balanced' / 'S2' / 'calib_00-02.xml').write_text(text)
  bad = made.bad(tom.booster(tmp_path).entries)
  assert len(bad) == 2
  for line in bad.values():
    wrong = ('is empty', 'has no proj_matL and baselineLR', 'has an invalid focal length or base')
    assert any(f'S2/calib_00-02.xml: {words}' in line for words in wrong), line


@pytest.mark.parametrize('ending', ['_mask', ''])
@pytest.mark.parametrize('folders', [('images', 'masks'), ('image', 'mask')])
def test_masks_of_every_coding_cover_the_same_pixels(ending, folders, tmp_path):
  entries = tom.masked(made.trans10k(tmp_path, folders, ending)).entries
  assert [entry.name for entry in entries][:4] == [
    *(f'test/easy/{folders[0]}/{i}' for i in (1, 3, 5)),
    f'train/{folders[0]}/0',
  ]
  for entry in entries:
    want = np.where(made.matte(int(entry.name[-1])) == 255, 255, 0)
    np.testing.assert_array_equal(entry.load()['mask'][..., 0], want)
  made.write(tmp_path / 'train' / folders[1] / f'0{ending}.png', made.matte(0, 3, 4))
  (tmp_path / 'train' / folders[1] / f'2{ending}.png').unlink()
  bad = made.bad(entries)
  names = [f'train/{folders[0]}/{i}' for i in (0, 2)]
  assert [*bad] == names and 'is 16 x 12 pixels but' in bad[names[0]]
  assert (
    f'{folders[1]}/2{ending}.png: is missing' in made.bad(tom.masked(tmp_path).entries)[names[1]]
  )


def test_cleargrasp_masks_are_of_the_transparent_objects(tmp_path):
  made_maps.cleargrasp(tmp_path)
  for i, entry in enumerate(tom.cleargrasp(tmp_path).entries):
    np.testing.assert_array_equal(entry.load()['tom'][..., 0], 255 * (made.matte(i) == 255))


def test_real_cleargrasp_photos_are_read():
  pytest.importorskip('OpenEXR')
  source = pathlib.Path(__file__).parents[3] / 'shared' / 'data' / 'tom' / 'cleargrasp_real_d435'
  if not source.is_dir():
    pytest.skip(f'no real data: there is no folder {source}')
  for entry, pixels in zip(tom.cleargrasp(source).entries, (123112, 28059), strict=True):
    record = entry.load()
    assert np.count_nonzero(record['tom']) == pixels
    metres = 1 / record['disparity'][(record['tom'] & record['valid']) > 0]
    assert 0.3 < np.median(metres) < 1
