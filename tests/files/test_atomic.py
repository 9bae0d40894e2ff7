"""Atomic writes: complete or absent; an existing file stays until the new one is complete."""

import errno
import os
import pickle
import stat

import pytest

from depthjax.files.atomic import check_output, replacing, write_bytes
from depthjax.files.errors import InputError, readable_file
from tests.messages import refused

EXTENSIONS = ('.bin', '.dat')


def test_file_is_replaced_when_the_block_ends(tmp_path):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with replacing(path, EXTENSIONS) as temporary:
    assert temporary.parent == path.parent and temporary.suffix == path.suffix
    temporary.write_bytes(b'new')
    assert path.read_bytes() == b'old'
  assert path.read_bytes() == b'new' and os.listdir(tmp_path) == ['a.bin']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_file_is_unchanged_when_the_block_raises(tmp_path, error):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with pytest.raises(error), replacing(path, EXTENSIONS) as temporary:
    temporary.write_bytes(b'half')
    raise error
  assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.bin']


def test_only_disk_errors_become_input_errors(tmp_path):
  path = tmp_path / 'a.bin'
  with pytest.raises(InputError, match=f'{path}: .*No space left'), replacing(path, EXTENSIONS):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  with pytest.raises(BrokenPipeError), replacing(path, EXTENSIONS):
    raise BrokenPipeError(errno.EPIPE, 'pipe')


def test_permissions_are_those_of_a_new_file(tmp_path):
  (tmp_path / 'plain').write_bytes(b'')
  write_bytes(tmp_path / 'a.bin', b'x', EXTENSIONS)
  modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'a.bin')}
  assert len(modes) == 1


def test_target_of_a_symbolic_link_is_replaced(tmp_path):
  (tmp_path / 'real.bin').write_bytes(b'old')
  (tmp_path / 'link.bin').symlink_to(tmp_path / 'real.bin')
  write_bytes(tmp_path / 'link.bin', b'new', EXTENSIONS)
  assert (tmp_path / 'link.bin').is_symlink()
  assert (tmp_path / 'real.bin').read_bytes() == b'new'


def test_invalid_output_paths_are_refused(tmp_path):
  pipe, lost = tmp_path / 'pipe.bin', tmp_path / 'no' / 'a.bin'
  os.mkfifo(pipe)
  for path, parts in {
    tmp_path: ('is a folder', '.bin or .dat'),
    tmp_path / 'a.txt': ("ends in '.txt'", '.bin or .dat'),
    tmp_path / 'a': ('has no ending', '.bin or .dat'),
    lost: (f'there is no folder {lost.parent}', 'existing folder'),
    pipe: ('not a regular file', 'a file to replace'),
  }.items():
    refused(lambda path=path: check_output(path, EXTENSIONS), f'{path}: ', *parts)
  assert check_output(tmp_path / 'A.BIN', EXTENSIONS) == tmp_path / 'A.BIN'


@pytest.mark.parametrize(
  'create, parts',
  [
    (lambda path: None, ('does not exist', 'existing file')),
    (lambda path: path.mkdir(), ('is a folder', 'a file')),
    (lambda path: path.touch(), ('is empty', 'complete file')),
    (os.mkfifo, ('not a regular file', 'a file on disk')),
  ],
)
def test_invalid_input_paths_are_refused(tmp_path, create, parts):
  path = tmp_path / 'a'
  create(path)
  refused(lambda: readable_file(path), path, *parts)


def test_input_error_is_one_line_and_can_be_pickled():
  error = pickle.loads(pickle.dumps(InputError('a\nb.png', 'is\nodd', 'even')))
  assert str(error) == 'a b.png: is odd; expected even' and isinstance(error, ValueError)
