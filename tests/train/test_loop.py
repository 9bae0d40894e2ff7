"""A run that is stopped, by whatever means, goes on to the same numbers as one that is not."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate, loop, resume
from depthjax.train import experiment as experiment_lib
from depthjax.train import log as log_lib
from tests import tiny

_RATES = ('examples_per_second', 'steps_per_second', 'input_share')


def _losses(workdir) -> list[dict]:
  """What a run logged, without what depends on the clock."""
  lines = log_lib.read_metrics(workdir)
  return [{k: v for k, v in line.items() if k not in _RATES} for line in lines]


def _state(config, workdir):
  experiment = experiment_lib.build(config)
  saved = checkpoint.Checkpoints(workdir / 'checkpoints')
  state = saved.restore(experiment.runner.abstract)
  saved.close()
  return jax.device_get(state)


def _assert_same_run(one, other, config):
  assert _losses(one) == _losses(other)
  jax.tree.map(np.testing.assert_array_equal, _state(config, one), _state(config, other))


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """An uninterrupted run of six steps and its config."""
  config = tiny.config(checkpoint__every=2, eval__every=3, parallel__devices=1)
  workdir = tmp_path_factory.mktemp('whole')
  loop.train(config, workdir)
  return config, workdir


def test_a_run_writes_what_it_promises(whole):
  config, workdir = whole
  steps = [line['step'] for line in log_lib.read_metrics(workdir)]
  assert steps == [1, 2, 3, 4, 5, 6]
  line = log_lib.read_metrics(workdir)[-1]
  assert {'loss', 'l1', 'grad_norm', 'learning_rate', *_RATES} <= line.keys()
  assert [line['step'] for line in log_lib.read_metrics(workdir, 'eval')] == [3, 6]
  saved = sorted(int(path.name) for path in (workdir / 'checkpoints').iterdir())
  assert saved == [2, 4, 6]
  assert json.loads((workdir / 'config.json').read_text())['task'] == config.task
  assert (workdir / 'weights.safetensors').exists() and any((workdir / 'events').iterdir())


def test_resumed_equals_uninterrupted_bit_for_bit(whole, tmp_path, monkeypatch):
  config, workdir = whole
  save = checkpoint.Checkpoints.save

  def dies(self, step, state):
    if step == 4:
      raise KeyboardInterrupt
    save(self, step, state)

  monkeypatch.setattr(checkpoint.Checkpoints, 'save', dies)
  with pytest.raises(KeyboardInterrupt):
    loop.train(config, tmp_path)
  monkeypatch.undo()
  assert [line['step'] for line in _losses(tmp_path)][-1] >= 3
  loop.train(config, tmp_path)
  _assert_same_run(workdir, tmp_path, config)


@pytest.mark.parametrize('record', ['', '[]', '{"task": "lensblur"}', '{"task'])
def test_a_damaged_record_of_the_config_is_named(tmp_path, record):
  path = tmp_path / 'config.json'
  path.write_text(record)
  with pytest.raises(InputError, match='does not hold the config of the run'):
    resume.same_run(tiny.config(), path)


@pytest.mark.parametrize('fields', [{'parallel__fsdp': 4}, {'parallel__mode': 'pmap'}], ids=str)
def test_a_checkpoint_goes_on_with_other_devices(whole, fields):
  """Saved by one device at step 4, restored on eight: step 5 has the loss that it had on one."""
  _, workdir = whole
  config = tiny.config(**fields)
  experiment = experiment_lib.build(config)
  saved = checkpoint.Checkpoints(workdir / 'checkpoints')
  state = saved.restore(experiment.runner.abstract, 4)
  saved.close()
  batch = experiment.runner.put(next(experiment.batches('train', 4)))
  state, scalars = experiment.runner.step(state, experiment.frozen(), batch)
  assert state.step == 5
  np.testing.assert_allclose(scalars['loss'], _losses(workdir)[4]['loss'], rtol=1e-3)


def test_sigterm_saves_and_the_same_command_goes_on(whole, tmp_path, monkeypatch):
  config, workdir = whole
  write = loop._Run.write  # Of step 3 it comes just before that step's evaluation.

  def write_and_be_asked(self, step, scalars, state):
    write(self, step, scalars, state)
    if step == 3:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(loop._Run, 'write', write_and_be_asked)
  with pytest.raises(loop.Terminated, match='stopped at step 3'):
    loop.train(config, tmp_path)
  monkeypatch.undo()
  assert (tmp_path / 'checkpoints' / '3').exists()
  assert log_lib.read_metrics(tmp_path, 'eval') == []
  loop.train(config, tmp_path)
  assert log_lib.read_metrics(tmp_path, 'eval') == log_lib.read_metrics(workdir, 'eval')
  _assert_same_run(workdir, tmp_path, config)


@pytest.mark.parametrize('fields', [{}, {'log_every': 100, 'checkpoint__every': 5}], ids=str)
def test_a_loss_that_is_not_finite_stops_the_run_with_the_last_good_state(
  tmp_path, monkeypatch, fields
):
  """Noticed when it is logged, and at the latest before a state is saved."""
  config = tiny.config(parallel__devices=1, **fields)
  batches = experiment_lib._batches

  def poisoned(config, split, start=0, transfer=None):
    for k, batch in enumerate(batches(config, split, start, transfer)):
      bad = split == 'train' and k == 3
      yield {**batch, 'focus': batch['focus'] * np.nan} if bad else batch

  monkeypatch.setattr(experiment_lib, '_batches', poisoned)
  with pytest.raises(loop.NotFinite, match='not finite at step 4; the state of step 3 is saved'):
    loop.train(config, tmp_path)
  state = _state(config, tmp_path)
  assert state.step == 3 and state.finite
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


def test_a_checkpoint_of_another_model_is_refused_by_name(whole):
  _, workdir = whole
  other = tiny.config(model__width=4, parallel__devices=1)
  with pytest.raises(InputError, match='is of another model: array .*down0'):
    evaluate.newest(other, workdir, 'test')


def test_evaluation_is_the_same_again(whole):
  config, workdir = whole
  one, two = (evaluate.newest(config, workdir, 'test') for _ in range(2))
  assert one == two and one['psnr/learned'] > 0
  assert one != evaluate.newest(config, workdir, 'val')


@pytest.mark.slow
@pytest.mark.parametrize('moment', ['step', 'save'])
def test_killed_runs_resume_bit_for_bit(whole, tmp_path, moment):
  """kill -9 in mid-run and in mid-save: what is resumed equals the run that never died."""
  config, workdir = whole
  fields = {'checkpoint.every': 2, 'eval.every': 3, 'parallel.devices': 1}
  with _start(tmp_path, fields) as process:
    try:
      _wait_for(process, tmp_path, moment)
    finally:
      process.kill()
  assert [line['step'] for line in _losses(tmp_path)] != [1, 2, 3, 4, 5, 6]
  loop.train(config, tmp_path)
  _assert_same_run(workdir, tmp_path, config)
  assert not list((tmp_path / 'checkpoints').glob('*tmp*'))


def _wait_for(process, workdir: pathlib.Path, moment: str) -> None:
  """Returns once the run has logged step 3, or has a second save under way."""
  deadline = time.monotonic() + 300
  while time.monotonic() < deadline:
    assert process.poll() is None, process.stderr.read().decode()
    folder = workdir / 'checkpoints'
    if moment == 'save' and (folder / '2').exists() and list(folder.glob('*tmp*')):
      return
    metrics = workdir / 'metrics.jsonl'
    if moment == 'step' and metrics.exists() and metrics.read_text().count('\n') >= 3:
      return
    time.sleep(0.001)
  raise TimeoutError(moment)


def _start(workdir, fields) -> subprocess.Popen:
  command = [sys.executable, '-m', 'depthjax.cli', 'train', *tiny.arguments(workdir, **fields)]
  environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '8'}
  return subprocess.Popen(
    command, env=environment, cwd=tiny.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  )
