"""The training loop: a run that is interrupted and resumed equals an uninterrupted one."""

import json
import re
import shutil
import signal

import jax
import numpy as np
import pytest

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.train import checkpoint, evaluate, loop, optimizer, resume
from depthjax.train import experiment as experiment_lib
from depthjax.train import log as log_lib
from tests import tiny
from tests.faults import machines

_FIELDS = {'checkpoint__every': 2, 'eval__every': 3, 'parallel__devices': 1}


def _state(experiment, workdir, step):
  with checkpoint.Checkpoints(workdir / 'checkpoints') as saved:
    return saved.restore(experiment.runner.abstract, step)


def _poison(monkeypatch, number):
  """Makes a batch of the training NaN."""
  batches = experiment_lib._batches

  def poisoned(config, split, start=0, transfer=None):
    for k, batch in enumerate(batches(config, split, start, transfer), start):
      bad = split == 'train' and k == number
      yield {**batch, 'focus': batch['focus'] * np.nan} if bad else batch

  monkeypatch.setattr(experiment_lib, '_batches', poisoned)


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
  """An uninterrupted run of six steps and its config."""
  config = tiny.config(**_FIELDS)
  workdir = tmp_path_factory.mktemp('reference')
  loop.train(config, workdir)
  return config, workdir


def test_a_run_writes_metrics_checkpoints_config_and_weights(reference):
  config, workdir = reference
  lines = log_lib.read_metrics(workdir)
  assert [line['step'] for line in lines] == [1, 2, 3, 4, 5, 6]
  assert {'loss', 'l1', 'grad_norm', 'learning_rate', *machines.RATES} <= lines[-1].keys()
  assert [line['step'] for line in log_lib.read_metrics(workdir, 'eval')] == [3, 6]
  assert machines.steps(workdir) == [2, 4, 6]
  assert json.loads((workdir / 'config.json').read_text())['task'] == config.task
  (line,) = (workdir / 'provenance.jsonl').read_text().splitlines()
  metadata = weights.load_weights(workdir)[1]
  assert json.loads(line).items() >= metadata['provenance'].items() and metadata['step'] == 6
  assert any((workdir / 'events').iterdir())


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(reference, tmp_path, monkeypatch):
  config, workdir = reference
  save = checkpoint.Checkpoints.save

  def dies(self, step, *arguments):
    if step == 4:
      raise KeyboardInterrupt
    save(self, step, *arguments)

  monkeypatch.setattr(checkpoint.Checkpoints, 'save', dies)
  with pytest.raises(KeyboardInterrupt):
    loop.train(config, tmp_path)
  monkeypatch.undo()
  assert machines.logged(tmp_path) >= 3
  loop.train(config, tmp_path)
  machines.assert_same(workdir, tmp_path)
  states = (_state(experiment_lib.build(config), path, 6) for path in (workdir, tmp_path))
  jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize('fields', [{'parallel__fsdp': 4}, {'parallel__mode': 'pmap'}], ids=str)
def test_a_checkpoint_is_restored_on_other_devices(reference, fields):
  """Saved on one device at step 4, restored on eight: step 5 has the same loss."""
  _, workdir = reference
  experiment = experiment_lib.build(tiny.config(**fields))
  state = _state(experiment, workdir, 4)
  batch = experiment.runner.put(next(experiment.batches('train', 4)))
  state, scalars = experiment.runner.step(state, experiment.frozen(), experiment.hyper, batch)
  assert state.step == 5
  np.testing.assert_allclose(scalars['loss'], machines.record(workdir)[4]['loss'], rtol=1e-3)


def _means(lines):
  return {name: np.mean([line[name] for line in lines]) for name in ('loss', 'l1', 'grad_norm')}


@pytest.mark.parametrize(
  'number', [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=str
)
def test_a_signal_saves_and_the_same_command_resumes(reference, tmp_path, monkeypatch, number):
  """Within a line of the log, which has the means of four steps."""
  _, workdir = reference
  config = tiny.config(**_FIELDS, log_every=4)
  write = loop._Run.write  # For step 3 it runs just before the evaluation of that step.

  def write_and_signal(self, step, scalars, state):
    write(self, step, scalars, state)
    if step == 3:
      signal.raise_signal(number)

  monkeypatch.setattr(loop._Run, 'write', write_and_signal)
  with pytest.raises(loop.Terminated, match='stopped at step 3'):
    loop.train(config, tmp_path)
  monkeypatch.undo()
  assert machines.steps(tmp_path) == [2, 3] and not machines.logged(tmp_path, 'eval')
  loop.train(config, tmp_path)
  *lines, first, second = machines.record(tmp_path)
  assert [first, second] == machines.record(workdir)[6:]
  steps = log_lib.read_metrics(workdir)
  for line, part in zip(lines, (steps[:4], steps[4:]), strict=True):
    assert line['step'] == part[-1]['step'] and line['learning_rate'] == part[-1]['learning_rate']
    np.testing.assert_allclose(
      *([x[name] for name in ('loss', 'l1', 'grad_norm')] for x in (line, _means(part))), rtol=1e-12
    )


@pytest.mark.slow
def test_a_run_that_resumes_from_an_older_step_equals_an_uninterrupted_one(
  reference, tmp_path, caplog
):
  config, workdir = reference
  shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
  with pytest.raises(
    InputError, match='has no checkpoint of step 3; expected one of the steps 2, 4, 6'
  ):
    loop.train(config, tmp_path, resume_step=3)
  loop.train(config, tmp_path, resume_step=2)
  machines.assert_same(workdir, tmp_path)
  # A launcher restarts the same command.
  loop.train(config, tmp_path, resume_step=2)
  machines.assert_same(workdir, tmp_path)
  assert 'ignored: --resume=2 was applied before; to apply it again, delete ' in caplog.text
  assert {'4.replaced', '6.replaced'} < {path.name for path in (tmp_path / 'checkpoints').iterdir()}


def test_a_run_that_diverged_goes_on_as_its_message_says(tmp_path):
  """The rate is too high from step 2 on, and still too high when it is lowered first."""
  fields = {'parallel__devices': 1, 'checkpoint__every': 1, 'checkpoint__keep': 1}
  fields |= {'optimizer__warmup': 3, 'optimizer__clip': 0.0}
  step, where = None, r'not finite at step 4; go on .* with --resume=(1), --change and a lower --'
  for peak in (1e10, 9e9, 1e-3):  # The last one with weight decay.
    config = tiny.config(optimizer__peak=peak, optimizer__weight_decay=0.1 * (peak < 1), **fields)
    options = {'terms': resume.Terms(change=step is not None), 'resume_step': step}
    if peak > 1:
      with pytest.raises(loop.NotFinite, match=where) as caught:
        loop.train(config, tmp_path, **options)
      step = int(re.search(where, str(caught.value))[1])
      assert machines.steps(tmp_path) == [1, 3]
  loop.train(config, tmp_path, **options)
  losses = [line['loss'] for line in log_lib.read_metrics(tmp_path)]
  assert len(losses) == 6 and max(losses) < 2 * losses[0]


def test_a_run_that_diverges_at_once_saves_nothing(tmp_path, monkeypatch):
  """It is detected when the step is logged, or before the state is saved."""
  _poison(monkeypatch, 3)
  for number, fields in enumerate(({}, {'log_every': 100, 'checkpoint__every': 3})):
    config = tiny.config(parallel__devices=1, **fields)
    words = 'not finite at step 4; no checkpoint is good: start another --workdir with a lower'
    for _ in range(1 + number):  # The same command ends in the same way.
      with pytest.raises(loop.NotFinite, match=words):
        loop.train(config, tmp_path / str(number))
    assert machines.steps(tmp_path / str(number)) == [3] * number


def test_a_checkpoint_of_an_older_version_without_weight_decay_is_restored(reference, tmp_path):
  config, workdir = reference
  experiment = experiment_lib.build(config)
  state = _state(experiment, workdir, 4)
  with checkpoint.Checkpoints(tmp_path / 'checkpoints') as saved:
    saved.save(4, optimizer.older(state), {'loss': 1.0})
  jax.tree.map(np.testing.assert_array_equal, _state(experiment, tmp_path, 4), state)


def test_a_checkpoint_of_another_model_is_refused(reference):
  _, workdir = reference
  other = tiny.config(model__width=4, parallel__devices=1)
  with pytest.raises(InputError, match='is of another model: array .*down0'):
    evaluate.newest(other, workdir, 'test')


def test_evaluation_is_deterministic(reference):
  config, workdir = reference
  one, two, other = (evaluate.newest(config, workdir, name) for name in ('test', 'test', 'val'))
  assert one == two and one['psnr/learned'] > 0 and one != other
