"""Photographs and depth maps find each other by their stems; what does not is named."""

import pytest

from depthjax.commands.work import folders
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError


def _folders(tmp_path, photos, depths):
  for name, files in (('photos', photos), ('depths', depths)):
    (tmp_path / name).mkdir()
    for file in files.split():
      (tmp_path / name / file).touch()
  return tmp_path / 'photos', tmp_path / 'depths', tmp_path / 'out'


def test_pairs_have_the_same_stem_and_come_by_name(tmp_path):
  photos = 'b.jpg a.TIF c.d.webp ._a.tif notes.txt e.png.bak'
  paths = _folders(tmp_path, photos, 'a.npy b.exr c.d.pfm c.png a.txt f.png')
  seen = []
  folders.map_pairs(*paths, lambda *pair: seen.append(pair) or [], lambda photo: '.gif')
  names = [tuple(path.relative_to(tmp_path).as_posix() for path in pair) for pair in seen]
  assert names == [
    ('photos/a.TIF', 'depths/a.npy', 'out/a.gif'),
    ('photos/b.jpg', 'depths/b.exr', 'out/b.gif'),
    ('photos/c.d.webp', 'depths/c.d.pfm', 'out/c.d.gif'),
  ]


def test_what_is_ambiguous_is_named_and_nothing_replaced(tmp_path, capsys):
  paths = _folders(tmp_path, 'a.jpg b.jpg b.png c.png', 'a.npy a.png b.png c.png')
  done = []
  with pytest.raises(ConfigError, match='^3 of 4 photographs failed$'):
    folders.map_pairs(*paths, lambda *pair: done.append(pair[0].name) or [], lambda photo: '.png')
  assert done == ['c.png']
  error = capsys.readouterr().err
  assert 'a.jpg: has several depth maps (a.npy and a.png); expected one of them in' in error
  assert error.count('shares its stem with another photograph; expected one of them') == 2


def test_a_failure_says_which_photograph_it_was(tmp_path, capsys):
  def work(photo, *_):
    if photo.stem == 'a':
      raise ConfigError('--focus: the point is outside')
    raise InputError(photo, 'is truncated', 'a complete file')

  paths = _folders(tmp_path, 'a.jpg b.jpg', 'a.npy b.npy')
  with pytest.raises(ConfigError, match='2 of 2 photographs failed'):
    folders.map_pairs(*paths, work, lambda photo: '.jpg')
  lines = [line for line in capsys.readouterr().err.splitlines() if 'depthjax' in line]
  assert lines == [
    f'depthjax: {paths[0]}/a.jpg: --focus: the point is outside',
    f'depthjax: {paths[0]}/b.jpg: is truncated; expected a complete file',
  ]


def test_folders_are_refused_before_any_work(tmp_path):
  photos, depths, out = _folders(tmp_path, 'a.jpg', 'a.npy')
  work = pytest.fail
  with pytest.raises(InputError, match='depths: holds no photograph'):
    folders.map_pairs(depths, photos, out, work, str)
  with pytest.raises(InputError, match='a.npy: is not a folder'):
    folders.map_pairs(photos, depths / 'a.npy', out, work, str)
  with pytest.raises(InputError, match='no: does not exist'):
    folders.map_pairs(photos, tmp_path / 'no', out, work, str)
  for source in (photos, depths):
    with pytest.raises(InputError, match='is a folder that is read'):
      folders.map_pairs(photos, depths, source / '..' / source.name, work, str)
  assert not out.exists()
