"""What the tests of `depthjax prepare` share."""

import pytest

from depthjax import cli


@pytest.fixture(name='run')
def fixture_run(tmp_path, monkeypatch, capsys):
  """Runs a command line in a folder; gives exit code, stdout and stderr."""
  monkeypatch.chdir(tmp_path)

  def run(line):
    monkeypatch.setattr('sys.argv', ['depthjax', *line.split()])
    with pytest.raises(SystemExit) as caught:
      cli.main()
    return caught.value.code or 0, *capsys.readouterr()

  return run
