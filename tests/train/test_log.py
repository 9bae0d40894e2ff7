"""The log of a run."""

import contextlib
import json
import math

import numpy as np

from depthjax.train import log as log_lib


def _log(workdir, start=0):
  return contextlib.closing(log_lib.Log(workdir, start=start, total=10))


def _written(workdir, steps=6):
  with _log(workdir) as log:
    for step in range(1, steps + 1):
      log.write(step, {'loss': 1 / step, 'rate': 0.5})
      if step % 2 == 0:
        log.write(step, {'psnr/learned': 20.0 + step}, kind='eval')
  return workdir / 'metrics.jsonl'


def test_a_line_has_step_kind_and_scalars(tmp_path):
  assert [json.loads(line) for line in _written(tmp_path, 2).read_text().splitlines()] == [
    {'step': 1, 'kind': 'train', 'loss': 1.0, 'rate': 0.5},
    {'step': 2, 'kind': 'train', 'loss': 0.5, 'rate': 0.5},
    {'step': 2, 'kind': 'eval', 'psnr/learned': 22.0},
  ]
  assert [line['step'] for line in log_lib.read_metrics(tmp_path)] == [1, 2]
  assert any((tmp_path / 'events').iterdir())


def test_damaged_lines_are_removed(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  good = '{"step": 1, "kind": "train"}'
  bad = '{}\n12\nnull\n{"step": "x"}\n\udcff\n{"step'
  path.write_text(f'{good}\n{bad}\n', encoding='utf-8', errors='surrogateescape')
  with _log(tmp_path, start=4):
    pass
  assert path.read_text() == f'{good}\n'


def test_nan_and_infinity_are_null_and_lines_are_flushed(tmp_path):
  with _log(tmp_path) as log:
    log.write(1, {'loss': math.inf, 'psnr_edge': math.nan, 'rate': 0.5}, kind='eval')
    (line,) = log_lib.read_metrics(tmp_path, 'eval')
  assert line == {'step': 1, 'kind': 'eval', 'loss': None, 'psnr_edge': None, 'rate': 0.5}


def test_resuming_removes_lines_after_the_first_step(tmp_path):
  path = _written(tmp_path)
  before = path.read_text().splitlines()
  with _log(tmp_path, start=4) as log:
    log.write(5, {'loss': 9.0})
  after = path.read_text().splitlines()
  assert after[:-1] == before[:6] and json.loads(after[-1])['loss'] == 9.0
  assert [line['step'] for line in log_lib.read_metrics(tmp_path, 'eval')] == [2, 4]
  with _log(tmp_path, start=0):
    assert path.read_text() == ''


def test_progress_is_printed_without_a_terminal_by_process_0(tmp_path, capsys):
  with _log(tmp_path) as log:
    log.advance(1)
    log.advance(2, loss=0.25, rate=3.0)
    log.say('a folder [with] brackets')
    log.pictures(2, {'row': np.zeros((4, 6, 3), np.float32)})
  out = capsys.readouterr().out
  assert 'step 2  loss 0.2500  3.0 examples/s' in out and 'step 1' not in out
  assert 'a folder [with] brackets' in out
  with contextlib.closing(log_lib.Silent()) as log:
    log.advance(1, loss=1.0, rate=2.0)
  assert log.has('eval') and capsys.readouterr().out == ''
