"""Fixtures for the tests of the commands."""

import pathlib

import pytest

from depthjax import cli
from tests import messages


@pytest.fixture(name='run')
def fixture_run(tmp_path, monkeypatch, capsys):
  """Runs a command line, split at spaces, in tmp_path; returns exit code, stdout, stderr."""
  monkeypatch.chdir(tmp_path)

  def run(line):
    monkeypatch.setattr('sys.argv', ['depthjax', *line.split()])
    with pytest.raises(SystemExit) as caught:
      cli.main()
    return caught.value.code or 0, *capsys.readouterr()

  return run


@pytest.fixture(name='refuse')
def fixture_refuse(run):
  """Asserts that a command ends with one line with these words, code 2, and no changed file."""

  def files():
    return {path: path.stat().st_mtime_ns for path in pathlib.Path().rglob('*')}

  def refuse(line, words):
    before = files()
    code, _, error = run(line)
    messages.assert_one_line(error, words)
    assert code == 2 and files() == before

  return refuse
