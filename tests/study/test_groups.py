"""Runs on disk, read and grouped."""

import math

import pytest

from depthjax.files.errors import InputError
from depthjax.study import groups
from tests import tiny
from tests.study import made


def _groups(tmp_path, *runs):
  paths = [made.save(tmp_path / str(i), *evals, **fields) for i, (evals, fields) in enumerate(runs)]
  return groups.group([groups.read(path) for path in paths])


def test_runs_that_differ_in_the_seed_or_in_logging_are_a_group(tmp_path):
  other = [{'seed': 1}, {'log_every': 3, 'seed': 2}, {'ema': 0.5}, {'eval__examples': 16}]
  found = _groups(tmp_path, *(((), fields) for fields in [{}, *other]))
  names = [''.join(run.path.name for run in group.runs) for group in found]
  assert names == ['012', '3', '4']
  assert groups.differing(found) == ['ema', 'eval.examples']
  assert groups.differing(found[:1]) == []
  older = made.save(tmp_path / 'older', change=lambda config: config['data'].pop('glass'))
  assert len(groups.group([found[0].runs[0], groups.read(older)])) == 1


def test_of_several_tasks_fields_differ_between_those_that_have_them(tmp_path):
  found = _groups(tmp_path, ((), {}), ((), {'ema': 0.5}))
  for own in (3, 4):
    change = lambda config: config.update(task='mine', model={'own': own, 'one': 1})  # noqa: B023, E731
    found += groups.group([groups.read(made.save(tmp_path / f'mine{own}', change=change))])
  assert groups.differing(found[:2]) == ['ema']
  assert groups.differing(found) == ['task', 'ema', 'model.own']


def test_metrics_are_those_of_the_last_step_that_a_run_was_evaluated_at(tmp_path):
  runs = [
    (((3, {'psnr': 1.0}), (6, {'psnr': 4.0, 'ssim': None})), {}),
    (((3, {'psnr': 2.0}), (6, {'psnr': 5.0})), {'seed': 1}),
    (((3, {'psnr': 9.0}),), {'seed': 2}),
  ]
  (group,) = _groups(tmp_path, *runs)
  assert group.step == 6 and len(group.evaluated) == 2
  assert groups.metrics([group]) == ['psnr', 'ssim']
  assert [line['psnr'] for line in group.evaluated] == [4.0, 5.0]
  assert math.isnan(group.evaluated[0]['ssim']) and 'ssim' not in group.evaluated[1]
  (without,) = _groups(tmp_path / 'b', ((), {}), ((), {'seed': 1}))
  assert without.step == 0 and groups.metrics([without]) == []


def test_a_run_is_finished_if_its_config_and_last_step_are_those(tmp_path):
  assert not groups.finished(tmp_path, tiny.config())
  made.save(tmp_path, (6, {}))
  assert groups.finished(tmp_path, tiny.config(log_every=3))
  assert not groups.finished(tmp_path, tiny.config(ema=0.5))
  assert not groups.finished(made.save(tmp_path, (3, {})), tiny.config())


def test_a_running_run_is_read_and_a_damaged_one_refused(tmp_path):
  path = made.save(tmp_path, (3, {'psnr': 1.0})) / 'metrics.jsonl'
  text = path.read_text()
  path.write_text(text + '{"step": 6, "ki')
  assert len(groups.read(tmp_path).evals) == 1
  for line in ('{"step": 6, "ki', '[]', '{"step": "x", "kind": "eval"}'):
    path.write_text(f'{line}\n{text}')
    with pytest.raises(InputError, match='metrics.jsonl: is damaged in line 1; expected lines of'):
      groups.read(tmp_path)
  path.unlink()
  assert groups.read(tmp_path).evals == []
