"""The training loop: a run that is interrupted and resumed equals an uninterrupted one."""

import json
import signal

import jax
import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate, loop
from depthjax.train import experiment as experiment_lib
from depthjax.train import log as log_lib
from tests import tiny

_RATES = ('examples_per_second', 'steps_per_second', 'input_share')


def _losses(workdir) -> list[dict]:
  """The training lines of a log, without rates."""
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
def reference(tmp_path_factory):
  """An uninterrupted run of six steps and its config."""
  config = tiny.config(checkpoint__every=2, eval__every=3, parallel__devices=1)
  workdir = tmp_path_factory.mktemp('reference')
  loop.train(config, workdir)
  return config, workdir


def test_a_run_writes_metrics_checkpoints_config_and_weights(reference):
  config, workdir = reference
  steps = [line['step'] for line in log_lib.read_metrics(workdir)]
  assert steps == [1, 2, 3, 4, 5, 6]
  line = log_lib.read_metrics(workdir)[-1]
  assert {'loss', 'l1', 'grad_norm', 'learning_rate', *_RATES} <= line.keys()
  assert [line['step'] for line in log_lib.read_metrics(workdir, 'eval')] == [3, 6]
  saved = sorted(int(path.name) for path in (workdir / 'checkpoints').iterdir())
  assert saved == [2, 4, 6]
  assert json.loads((workdir / 'config.json').read_text())['task'] == config.task
  assert (workdir / 'weights.safetensors').exists() and any((workdir / 'events').iterdir())


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(reference, tmp_path, monkeypatch):
  config, workdir = reference
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


@pytest.mark.parametrize('fields', [{'parallel__fsdp': 4}, {'parallel__mode': 'pmap'}], ids=str)
def test_a_checkpoint_is_restored_on_other_devices(reference, fields):
  """Saved on one device at step 4, restored on eight: step 5 has the same loss."""
  _, workdir = reference
  config = tiny.config(**fields)
  experiment = experiment_lib.build(config)
  saved = checkpoint.Checkpoints(workdir / 'checkpoints')
  state = saved.restore(experiment.runner.abstract, 4)
  saved.close()
  batch = experiment.runner.put(next(experiment.batches('train', 4)))
  state, scalars = experiment.runner.step(state, experiment.frozen(), batch)
  assert state.step == 5
  np.testing.assert_allclose(scalars['loss'], _losses(workdir)[4]['loss'], rtol=1e-3)


def test_sigterm_saves_and_the_same_command_resumes(reference, tmp_path, monkeypatch):
  config, workdir = reference
  write = loop._Run.write  # For step 3 it runs just before the evaluation of that step.

  def write_and_signal(self, step, scalars, state):
    write(self, step, scalars, state)
    if step == 3:
      signal.raise_signal(signal.SIGTERM)

  monkeypatch.setattr(loop._Run, 'write', write_and_signal)
  with pytest.raises(loop.Terminated, match='stopped at step 3'):
    loop.train(config, tmp_path)
  monkeypatch.undo()
  assert (tmp_path / 'checkpoints' / '3').exists()
  assert log_lib.read_metrics(tmp_path, 'eval') == []
  loop.train(config, tmp_path)
  assert log_lib.read_metrics(tmp_path, 'eval') == log_lib.read_metrics(workdir, 'eval')
  _assert_same_run(workdir, tmp_path, config)


@pytest.mark.parametrize('fields', [{}, {'log_every': 100, 'checkpoint__every': 5}], ids=str)
def test_a_loss_that_is_not_finite_ends_the_run_with_the_last_finite_state(
  tmp_path, monkeypatch, fields
):
  """It is detected when the step is logged, or before the state is saved."""
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


def test_a_checkpoint_of_another_model_is_refused(reference):
  _, workdir = reference
  other = tiny.config(model__width=4, parallel__devices=1)
  with pytest.raises(InputError, match='is of another model: array .*down0'):
    evaluate.newest(other, workdir, 'test')


def test_evaluation_is_deterministic(reference):
  config, workdir = reference
  one, two = (evaluate.newest(config, workdir, 'test') for _ in range(2))
  assert one == two and one['psnr/learned'] > 0
  assert one != evaluate.newest(config, workdir, 'val')
