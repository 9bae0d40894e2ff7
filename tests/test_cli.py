"""The command line itself: without a command there is help."""

from tests.commands import made


def test_without_a_command_there_is_help(monkeypatch, capsys):
  assert made.run(monkeypatch, '') == 0
  out = capsys.readouterr().out
  assert all(f' {verb} ' in out for verb in ('train', 'evaluate', 'refocus', 'demo'))
