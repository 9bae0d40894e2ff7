"""Photographs and depth maps are paired by their names, as programs and systems write them."""

import pytest

from depthjax.commands.work import pairs
from depthjax.files.errors import InputError


def _paired(tmp_path, photos, depths, kind=pairs.PHOTOGRAPH):
  """'photo:map' of every pair; 'several', or 'missing' without a map; `depths` None: one folder."""
  (tmp_path / 'photos').mkdir()
  sources = [tmp_path / 'photos', tmp_path / 'photos']
  if depths is not None:
    sources[1] = tmp_path / 'depths'
    sources[1].mkdir()
  for folder, names in zip(sources, (photos, depths or ''), strict=True):
    for name in names.split():
      (folder / name).touch()
  found = []
  for files, depths_of in pairs.groups(sources, (kind, pairs.DEPTH_MAP)):
    files = pairs.preferred(files, kind)
    try:
      depth = pairs.choose(files[0], depths_of[0], sources[1], pairs.DEPTH_MAP).name
    except InputError as error:
      depth = 'several' if 'has several depth maps' in str(error) else 'missing'
    found.append(f'{"+".join(path.name for path in files)}:{depth}')
  return ' '.join(found)


@pytest.mark.parametrize(
  'photos, depths, expected',
  [
    ('b.jpg a.TIF', 'a.npy b.exr c.png', 'a.TIF:a.npy b.jpg:b.exr'),
    # As thygate's program and others call them.
    ('a.jpg b.jpg c.jpg', 'a-0000.png b_depth.png c-Depth.EXR', None),
    ('a.jpg', 'a_depth.png a-0000.png', 'a.jpg:several'),
    # A name that is that of a photograph is of this photograph.
    ('a.jpg a-0001.jpg', 'a-0001.png', 'a-0001.jpg:a-0001.png a.jpg:missing'),
    ('a.jpg a_depth.jpg', 'a.png a_depth.png', 'a.jpg:a.png a_depth.jpg:a_depth.png'),
    ('a.jpg a_depth.jpg', 'a.png', 'a.jpg:a.png'),
    # Both of one run of MiDaS, but not of two programs.
    ('a.jpg b.jpg', 'a.png a.pfm b.png b_depth.pfm', 'a.jpg:a.pfm b.jpg:several'),
    ('a.jpg', 'a.npy a.pfm', 'a.jpg:several'),
    # Composed and decomposed.
    ('Gr\u00f6.jpg', 'Gro\u0308.png', 'Gr\u00f6.jpg:Gro\u0308.png'),
    # One photograph as a camera and a program wrote it; two of which none is preferred.
    ('a.jpg a.NEF b.HEIC', 'a.png b.png', 'a.jpg:a.png b.HEIC:b.png'),
    ('a.jpg a.png', 'a.npy', 'a.jpg+a.png:a.npy'),
    # One folder.
    ('a.jpg a.npy b.png b.npy', None, 'a.jpg:a.npy b.png:b.npy'),
    ('a.jpg a_depth.png b.png b-0000.png', None, 'a.jpg:a_depth.png b.png:b-0000.png'),
    ('a.jpg a.png b.HEIC b.tif', None, 'a.jpg:a.png b.HEIC:b.tif'),
    ('a.jpg a-0001.jpg a.npy', None, 'a-0001.jpg:missing a.jpg:a.npy'),
  ],
)
def test_files_are_paired_by_name(tmp_path, photos, depths, expected):
  expected = expected or 'a.jpg:a-0000.png b.jpg:b_depth.png c.jpg:c-Depth.EXR'
  assert _paired(tmp_path, photos, depths) == expected


def test_masks_in_a_folder_of_photographs_are_named(tmp_path):
  for name in ('a.jpg', 'a.png', 'a-mask.png', 'b.png', 'b_depth.npy', 'b_MASK.npy', 'x_mask.png'):
    (tmp_path / name).touch()
  kinds = pairs.PHOTOGRAPH, pairs.DEPTH_MAP, pairs.MASK
  found = pairs.groups([tmp_path] * 3, kinds)
  names = [[path.name for paths in (files, *others) for path in paths] for files, others in found]
  assert names == [
    ['a.jpg', 'a.png', 'a-mask.png'],
    ['b.png', 'b_depth.npy', 'b_MASK.npy'],
    ['x_mask.png'],
  ]
  (tmp_path / 'masks').mkdir()
  (tmp_path / 'masks' / 'a.png').touch()
  (_, (_, found)), *_ = pairs.groups([tmp_path, tmp_path, tmp_path / 'masks'], kinds)
  assert found == [tmp_path / 'masks' / 'a.png']


def test_maps_of_two_folders_are_paired_and_what_is_not_used_is_said(tmp_path, capsys):
  found = _paired(tmp_path, 'a.png a.pfm b_depth.npy', 'a_depth.exr b_depth.png', pairs.DEPTH_MAP)
  assert found == 'a.pfm:a_depth.exr b_depth.npy:b_depth.png'
  assert capsys.readouterr().err.endswith('a.png: is not used; a.pfm has the same name\n')


def test_a_link_to_the_folder_is_the_same_folder_and_a_broken_file_is_listed(tmp_path):
  (tmp_path / 'a.jpg').touch()
  (tmp_path / 'b.jpg').symlink_to('nowhere')
  (tmp_path / 'a_depth.png').touch()
  (tmp_path / 'linked').symlink_to(tmp_path)
  found = pairs.groups([tmp_path, tmp_path / 'linked'], (pairs.PHOTOGRAPH, pairs.DEPTH_MAP))
  files = [[tmp_path / 'a.jpg'], [tmp_path / 'b.jpg']]
  assert found == [(files[0], [[tmp_path / 'linked' / 'a_depth.png']]), (files[1], [[]])]
