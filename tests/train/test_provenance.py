"""Provenance: commit, versions, devices, command and data of a run."""

import subprocess

import jax

from depthjax.train import provenance
from tests import tiny


def git(folder, *arguments):
  name = ('-c', 'user.name=n', '-c', 'user.email=e@e')
  done = subprocess.run(['git', '-C', folder, *name, *arguments], check=True, capture_output=True)
  return done.stdout.decode().strip()


def test_a_changed_tracked_file_makes_a_commit_dirty(tmp_path):
  assert provenance.revision(tmp_path) == ''
  (tmp_path / 'file').write_text('a')
  git(tmp_path, 'init')
  git(tmp_path, 'add', 'file')
  git(tmp_path, 'commit', '-m', 'message')
  git(tmp_path, 'tag', '-a', 'v1', '-m', 'message')
  commit = git(tmp_path, 'rev-parse', 'HEAD')
  (tmp_path / 'untracked').write_text('b')
  assert provenance.revision(tmp_path) == commit
  (tmp_path / 'file').write_text('c')
  assert provenance.revision(tmp_path) == f'{commit}-dirty'


def test_a_run_without_a_repository_has_versions_devices_command_and_data(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(provenance, '_PACKAGE', tmp_path)
  monkeypatch.setattr('sys.argv', ['/bin/depthjax', 'train', '--config=a b'])
  (tmp_path / 'photos').mkdir()
  found = provenance.describe(tiny.config(data__photo_source='photos'))
  assert found['commit'] == found['project'] == '' and found['processes'] == 1
  assert found['devices'] == '8 x cpu' and found['versions']['jax'] == jax.__version__
  assert found['command'] == "depthjax train '--config=a b'" and list(found['data']) == ['photos']
