"""A file is complete or not there, and an earlier one stays until the new one is complete."""

import errno
import os
import pickle
import stat

import pytest

from depthjax.files.atomic import check_output, replacing, write_bytes
from depthjax.files.errors import InputError, readable_file

ENDINGS = ('.bin', '.dat')


def test_a_block_that_ends_well_replaces_the_file(tmp_path):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with replacing(path, ENDINGS) as temporary:
    assert temporary.parent == path.parent and temporary.suffix == path.suffix
    temporary.write_bytes(b'new')
    assert path.read_bytes() == b'old'
  assert path.read_bytes() == b'new' and os.listdir(tmp_path) == ['a.bin']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
  path = tmp_path / 'a.bin'
  path.write_bytes(b'old')
  with pytest.raises(error), replacing(path, ENDINGS) as temporary:
    temporary.write_bytes(b'half')
    raise error
  assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.bin']


def test_a_full_disk_is_told_in_one_line(tmp_path):
  path = tmp_path / 'a.bin'
  with pytest.raises(InputError) as caught, replacing(path, ENDINGS) as temporary:
    temporary.write_bytes(b'half')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
  assert str(path) in str(caught.value) and 'No space left' in str(caught.value)
  assert os.listdir(tmp_path) == []
  # What is not about the disk passes unchanged.
  with pytest.raises(BrokenPipeError), replacing(path, ENDINGS):
    raise BrokenPipeError(errno.EPIPE, 'pipe')


def test_permissions_are_those_of_any_new_file(tmp_path):
  (tmp_path / 'plain').write_bytes(b'')
  write_bytes(tmp_path / 'a.bin', b'x', ENDINGS)
  modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ('plain', 'a.bin')}
  assert len(modes) == 1


def test_a_link_keeps_pointing_to_its_file(tmp_path):
  (tmp_path / 'real.bin').write_bytes(b'old')
  (tmp_path / 'link.bin').symlink_to(tmp_path / 'real.bin')
  write_bytes(tmp_path / 'link.bin', b'new', ENDINGS)
  assert (tmp_path / 'link.bin').is_symlink()
  assert (tmp_path / 'real.bin').read_bytes() == b'new'


def test_bad_names_are_refused_before_any_work(tmp_path):
  cases = {
    tmp_path: ('is a folder', '.bin or .dat'),
    tmp_path / 'a.txt': ("ends in '.txt'", '.bin or .dat'),
    tmp_path / 'a': ('has no ending', '.bin or .dat'),
    tmp_path / 'no' / 'a.bin': (f'there is no folder {tmp_path / "no"}', 'existing folder'),
  }
  os.mkfifo(tmp_path / 'pipe.bin')
  cases[tmp_path / 'pipe.bin'] = ('not a regular file', 'a file to replace')
  for path, (wrong, right) in cases.items():
    with pytest.raises(InputError) as caught:
      check_output(path, ENDINGS)
    assert str(caught.value).startswith(f'{path}: ')
    assert wrong in caught.value.wrong and right in caught.value.right
  assert check_output(tmp_path / 'A.BIN', ENDINGS) == tmp_path / 'A.BIN'


def test_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  with pytest.raises(InputError, match='not a regular file; expected a file on disk'):
    readable_file(tmp_path / 'pipe')


def test_the_error_crosses_processes_and_stays_one_line():
  error = pickle.loads(pickle.dumps(InputError('a\nb.png', 'is\nodd', 'even')))
  assert str(error) == 'a b.png: is odd; expected even' and isinstance(error, ValueError)
