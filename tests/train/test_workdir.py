"""The folder of a run: URLs and folders that cannot be written are refused before a run begins."""

import os
import pathlib

import pytest

from depthjax.files.errors import InputError
from depthjax.train import experiment, lock, loop, workdir
from tests import tiny
from tests.messages import refused


@pytest.mark.parametrize('where', ['gs://bucket/run', pathlib.Path('s3://bucket/run'), 'my-1:/x'])
def test_urls_are_refused_and_make_no_folder(where, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(experiment, 'build', None)  # It is refused before.
  refused(lambda: loop.train(tiny.config(), where), where, 'is a URL', 'docs/scale.md')
  assert not list(tmp_path.iterdir())


def test_the_home_folder_is_expanded_and_files_are_refused(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  assert workdir.resolve('~/a:b/run') == workdir.resolve('a:b/run') == tmp_path / 'a:b' / 'run'
  (tmp_path / 'file').touch()
  refused(lambda: workdir.resolve('file'), tmp_path / 'file', 'is not a folder')
  refused(lambda: workdir.resolve('~nobodyhere/x'), '~nobodyhere/x', 'cannot be used (Could not')
  refused(lambda: workdir.resolve(300 * 'a'), 300 * 'a', 'cannot be used (File name too long)')


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
  """Although its lock file can; root may write everywhere, so the system's answer is replaced."""
  (tmp_path / 'lock').touch()
  monkeypatch.setattr(os, 'access', lambda path, mode: path != tmp_path)
  with pytest.raises(InputError, match=f'^{tmp_path}: cannot be created or written .Permission'):
    with lock.held(tmp_path):
      pass
