"""Files of folders are paired; a failed file is named and the others are processed."""

import os

import pytest

from depthjax.commands.work import folders
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError


def _folders(tmp_path, photos, depths):
  for name, files in (('photos', photos), ('depths', depths)):
    (tmp_path / name).mkdir()
    for file in files.split():
      (tmp_path / name / file).write_bytes(b'x')
  return tmp_path / 'photos', tmp_path / 'depths', tmp_path / 'out'


def _map(photos, depths, out, work, check=lambda path: None, **options):
  """Calls `work` with the paths of a photograph, its depth map and its result."""

  def do(*paths, show):
    assert show == photos.is_file()
    work(*paths)

  def checked(path):
    check(path)
    return [path]

  options = {'load': lambda: do} | options | {'check': checked, 'ending': lambda photo: '.gif'}
  folders.map_files((photos, depths), out, **options)


def test_pairs_have_the_same_stem_and_are_sorted(tmp_path):
  photos = 'b.jpg a.TIF c.d.webp ._a.tif notes.txt e.png.bak'
  paths = _folders(tmp_path, photos, 'a.npy b.exr c.d.pfm c.png a.txt f.png')
  seen, checked = [], []
  _map(*paths, lambda *pair: seen.append(pair), checked.append)
  names = [' '.join(path.relative_to(tmp_path).as_posix() for path in pair) for pair in seen]
  assert names == [
    'photos/a.TIF depths/a.npy out/a.gif',
    'photos/b.jpg depths/b.exr out/b.gif',
    'photos/c.d.webp depths/c.d.pfm out/c.d.gif',
  ]
  assert checked == [result for *_, result in seen]


def test_a_single_file_and_its_output_are_checked_before_networks_are_loaded(tmp_path):
  photos, depths, out = _folders(tmp_path, 'a.jpg', 'a.npy')
  seen, pair = [], (photos / 'a.jpg', depths / 'a.npy', out / 'b.png')
  _map(*pair, lambda *paths: seen.append(paths))
  assert seen == [pair]

  def refuse(path):
    raise InputError(path, 'is full', 'room')

  with pytest.raises(InputError, match='b.png: is full'):
    folders.map_files(pair[:2], pair[2], load=pytest.fail, check=refuse, ending=None)
  with pytest.raises(InputError, match='no.jpg: does not exist'):
    _map(photos / 'no.jpg', *pair[1:], None, load=pytest.fail)


def test_failed_files_are_named_and_the_others_are_processed(tmp_path, capsys):
  def work(photo, *_):
    kinds = {'d': ConfigError('--x: outside'), 'e': ValueError('too large')}
    if photo.stem != 'c':
      raise kinds.get(photo.stem, InputError(photo, 'is truncated', 'a complete file'))
    print('done')

  depths = 'a.npy a.pfm b.png c.png d.png e.png f.png'
  paths = _folders(tmp_path, 'a.jpg b.jpg b.png c.png d.png e.png f.png g.png', depths)
  with pytest.raises(ConfigError, match='^7 of 8 photographs failed, 1 of them without a depth'):
    _map(*paths, work)
  out, error = capsys.readouterr()
  lines = [line.partition(f'{paths[0]}/')[2] for line in error.splitlines() if 'depthjax' in line]
  assert out == 'done\n'
  assert lines[0].startswith('a.jpg: has several depth maps (a.npy and a.pfm); expected one of')
  assert lines[1].startswith('b.jpg: has the same name as another photograph, except for')
  assert lines[3:5] == ['d.png: --x: outside', 'e.png: too large']
  assert lines[6].startswith('g.png: has no depth map; expected ')


def test_invalid_folders_are_refused_before_any_work(tmp_path):
  photos, depths, out = _folders(tmp_path, 'a.jpg', 'a.npy')
  for paths, wrong in (
    ((depths, photos, out), 'depths: contains no photograph; expected files ending in .png'),
    ((photos, depths / 'a.npy', out), 'a.npy: is not a folder; expected a folder, like the'),
    ((photos, tmp_path / 'no', out), 'no: does not exist'),
    (
      (photos, depths, depths / '..' / 'depths'),
      'is one of the inputs, .*another name',
    ),
    ((photos, depths, photos / 'a.jpg'), r'a.jpg: cannot be created \(File exists'),
    ((photos, depths, out / 'out'), r'out: cannot be created \(No such file'),
  ):
    with pytest.raises(InputError, match=wrong):
      _map(*paths, pytest.fail)
  assert not out.exists()


def test_results_that_exist_are_skipped_with_resume(tmp_path, capsys):
  photos, depths, out = _folders(tmp_path, 'a.jpg b.jpg', 'a.npy b.npy')
  out.mkdir()
  (out / 'a.gif').touch()
  seen = []
  _map(photos, depths, out, lambda photo, *_: seen.append(photo.name), resume=True)
  _map(photos / 'a.jpg', depths / 'a.npy', out / 'a.gif', pytest.fail, resume=True)
  assert seen == ['b.jpg']
  lines = f'{out}: 2 photographs, 1 of them existed already', f'{out / "a.gif"}: exists already'
  assert capsys.readouterr().out.splitlines() == [*lines]


@pytest.mark.parametrize('link', [os.symlink, os.link])
@pytest.mark.parametrize('name', ['photos/a.jpg', 'depths/a.npy', 'depths/other.txt'])
def test_inputs_are_not_replaced_by_any_name(tmp_path, capsys, link, name):
  photos, depths, out = _folders(tmp_path, 'a.jpg', 'a.npy other.txt')
  out.mkdir()
  link(tmp_path / name, out / 'a.gif')
  with pytest.raises(ConfigError, match='^1 of 1 photographs failed$'):
    _map(photos, depths, out, pytest.fail)
  assert 'out/a.gif: is one of the inputs, which the result would' in capsys.readouterr().err
  if 'other' not in name:
    with pytest.raises(InputError, match='is one of the inputs'):
      _map(photos / 'a.jpg', depths / 'a.npy', out / 'a.gif', pytest.fail)
