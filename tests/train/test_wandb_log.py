"""Logging to Weights & Biases, offline."""

import contextlib

import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.train import log as log_lib


def test_a_missing_package_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'wandb', None)
  with pytest.raises(InputError, match=r"log.wandb: needs .* install 'depthjax\[wandb\]'"):
    log_lib.Log(tmp_path, start=0, total=2, wandb={})


def test_a_resumed_run_goes_on_in_the_same_run(tmp_path, monkeypatch):
  pytest.importorskip('wandb', reason='needs the extra wandb')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  for start in (0, 1):
    log = log_lib.Log(tmp_path, start=start, total=2, wandb={'seed': 3})
    with contextlib.closing(log):
      log.write(start + 1, {'loss': 0.5 + start})
      log.pictures(start + 1, {'picture': np.zeros((8, 8, 3), np.float32)})
  runs = sorted((tmp_path / 'wandb').glob('offline-run-*'))
  assert all((tmp_path / 'wandb_id').read_text() in run.name for run in runs)
  for run, loss in zip(runs, (b'0.5', b'1.5'), strict=True):
    data = next(run.glob('*.wandb')).read_bytes()
    assert b'train/loss' in data and loss in data
  assert any((runs[-1] / 'files' / 'media' / 'images').iterdir())
