"""Fixtures for the tests of the commands."""

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
def fixture_refuse(run, tmp_path):
  """Asserts that a command ends with one line with these words, code 2, and no changed file."""

  def refuse(line, words):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    code, _, error = run(line)
    messages.assert_one_line(error, words)
    assert code == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before

  return refuse
