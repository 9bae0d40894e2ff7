"""Resuming a run with another config: refused unless --change is given."""

import json
import shutil

import pytest

from depthjax.configuring import ConfigError
from depthjax.train import record, resume
from tests import tiny
from tests.faults import machines

_FREE = ('parallel.fsdp', 2), ('parallel.mode', 'pmap'), ('checkpoint.keep', 9), ('log_every', 7)
_DECIDING = {
  **{'seed': 1, 'model.width': 8, 'render.samples': 16, 'data.photo_source': '/photos'},
  **{'optimizer.peak': 0.5, 'initialise.weights': 'runs/x'},
}


@pytest.fixture
def path(tmp_path):
  record.write(tmp_path, machines.config(), 0, {})
  return tmp_path / record.NAME


def test_steps_and_fields_that_do_not_affect_the_weights_may_change(path):
  for field, value in _FREE:
    assert resume.same_run(machines.config(**{field: value}), path) == {}
  assert resume.same_run(machines.config(steps=50), path) == {'steps': record.Change(12, 50)}


@pytest.mark.parametrize('field', _DECIDING)
def test_fields_that_affect_the_weights_may_not_change(path, field):
  value = _DECIDING[field]
  config = machines.config(**{field: value})
  was = json.dumps(record.deciding(machines.config().to_dict())[field])
  with pytest.raises(ConfigError) as caught:
    resume.same_run(config, path)
  assert f'{field} was {was}, is {json.dumps(value)}; use' in str(caught.value)
  changed = resume.same_run(config, path, resume.Terms(change=True))
  assert changed == {field: record.Change(json.loads(was), value)}
  assert resume.same_run(config, path, resume.Terms(ignored=(field,))) == {}


def test_missing_fields_of_older_records_have_default_values(path):
  table = json.loads(path.read_text())
  del table['optimizer']['clip'], table['model']['renorm']
  path.write_text(json.dumps(table))
  assert resume.same_run(machines.config(), path) == {}
  with pytest.raises(ConfigError, match='optimizer.clip was 1.0, is 2.0'):
    resume.same_run(machines.config(optimizer__clip=2.0), path)
  plain = machines.config(model__renorm=False)
  with pytest.raises(ConfigError, match='model.renorm was false, is true'):
    resume.same_run(machines.config(), path, resume.Terms(defaults=plain))


def test_the_command_refuses_a_change_without_the_flag(reference, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(reference, workdir)
  fields = {'count': 1, 'steps': 14, 'optimizer.peak': 0.002}
  run = machines.train(workdir, **fields)
  assert run.process.returncode == 2
  assert 'optimizer.peak was 0.001, is 0.002; use' in run.line() and 'steps' not in run.line()
  assert (workdir / 'config.json').read_text() == (reference / 'config.json').read_text()
  run = machines.trained(workdir, '--change', **fields)
  words = 'optimizer.peak was 0.001, is 0.002, steps was 12, is 14'
  assert f'changed: {words}' in run.out and machines.logged(workdir) == 14
  line = json.loads((workdir / 'changes.jsonl').read_text())
  assert line['step'] == 12 and line['changes']['steps'] == {'was': 12, 'now': 14}
  assert json.loads((workdir / 'config.json').read_text())['optimizer']['peak'] == 0.002


def test_memory_fields_of_older_runs_are_ignored(path):
  """Older runs of depth refinement had `loss.sequential` instead of `loss.chunk`."""
  older = tiny.sddr_config().to_dict()
  older['loss']['sequential'] = older['loss'].pop('chunk') == 1
  path.write_text(json.dumps(older, default=str))
  assert resume.same_run(tiny.sddr_config(loss__chunk=2), path) == {}
