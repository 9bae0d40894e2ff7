"""Atomic writes: complete or absent; an existing file stays until the new one is complete."""

import errno
import os
import pickle

import pytest

from depthjax.files import disk
from depthjax.files.atomic import check_output, replacing, write_bytes
from depthjax.files.errors import InputError, readable_file
from tests.messages import refused

EXTENSIONS = ('.bin', '.dat')


def test_file_is_replaced_when_the_block_ends_and_not_when_it_raises(tmp_path):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with pytest.raises(KeyboardInterrupt), replacing(path, EXTENSIONS) as temporary:
    assert temporary.parent == path.parent and temporary.suffix == path.suffix
    temporary.write_bytes(b'half')
    raise KeyboardInterrupt
  assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.bin']
  with replacing(path, EXTENSIONS) as temporary:
    temporary.write_bytes(b'new')
    assert path.read_bytes() == b'old'
  assert path.read_bytes() == b'new' and os.listdir(tmp_path) == ['a.bin']


@pytest.mark.parametrize('filename', ['/dev/shm/part', b'/dev/shm/part', 'part', None, 3])
def test_message_names_the_disk_that_is_full(tmp_path, monkeypatch, filename):
  monkeypatch.chdir(tmp_path)
  name = '/dev/shm/part' if filename in ('/dev/shm/part', b'/dev/shm/part') else tmp_path / 'a.bin'
  with pytest.raises(InputError, match=f'^{name}: cannot be written .No space left on device.'):
    with replacing(tmp_path / 'a.bin', EXTENSIONS):
      try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), filename)
      except OSError as error:
        raise RuntimeError('a batch cannot be sent') from error


@pytest.mark.parametrize(
  'only, expected', [({}, InputError), ({'numbers': disk.FULL}, (OSError, RuntimeError))]
)
def test_errors_are_known_by_their_number_or_text(tmp_path, only, expected):
  for error in (OSError(errno.EROFS, 'system'), RuntimeError(f'{os.strerror(errno.EROFS)}: 1')):
    with pytest.raises(expected, match='system'), disk.write_errors(tmp_path, **only):
      raise error


def test_target_of_a_symbolic_link_is_replaced_by_a_file_of_default_permissions(tmp_path):
  real, link = tmp_path / 'real.bin', tmp_path / 'link.bin'
  real.write_bytes(b'old')
  mode = real.stat().st_mode
  link.symlink_to(real)
  write_bytes(link, b'new', EXTENSIONS)
  assert link.is_symlink() and real.read_bytes() == b'new' and real.stat().st_mode == mode


def test_invalid_output_paths_are_refused(tmp_path):
  os.mkfifo(tmp_path / 'pipe.bin')
  for name, wrong in {
    '': 'is a folder',
    'a.txt': "ends in '.txt'; expected a file name ending in .bin or .dat",
    'a': 'has no ending',
    'no/a.bin': 'there is no folder',
    'pipe.bin': 'not a regular file',
  }.items():
    refused(lambda name=name: check_output(tmp_path / name, EXTENSIONS), tmp_path / name, wrong)
  assert check_output(tmp_path / 'A.BIN', EXTENSIONS) == tmp_path / 'A.BIN'


@pytest.mark.parametrize(
  'create, wrong',
  [
    (lambda path: None, 'does not exist'),
    (os.mkdir, 'is a folder'),
    (lambda path: path.touch(), 'is empty'),
    (os.mkfifo, 'not a regular file'),
    (lambda path: path.symlink_to(path), 'cannot be found (Too many levels of symbolic links)'),
  ],
)
def test_invalid_input_paths_are_refused(tmp_path, create, wrong):
  path = tmp_path / 'a'
  create(path)
  refused(lambda: readable_file(path), path, wrong)


@pytest.mark.parametrize('name, wrong', [('a' * 300, 'File name too long'), ('\0', 'null byte')])
def test_invalid_names_are_refused(name, wrong):
  refused(lambda: readable_file(f'{name}.bin'), wrong)
  refused(lambda: check_output(f'{name}.bin', EXTENSIONS), wrong)
  refused(lambda: check_output(f'{name}/a.bin', EXTENSIONS), wrong)


def test_input_error_is_one_line_and_can_be_pickled():
  error = pickle.loads(pickle.dumps(InputError('a\nb.png', 'is\nodd', 'even')))
  assert str(error) == 'a b.png: is odd; expected even' and isinstance(error, ValueError)
