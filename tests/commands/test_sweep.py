"""`depthjax sweep`: which runs are trained, and how it ends."""

import secrets

import jax
import pytest
from jax._src import monitoring

from depthjax.configuring import ConfigError
from depthjax.train import loop
from depthjax.train.errors import NotFinite, Terminated
from tests import messages, tiny
from tests.study import made

_LINE = f'sweep --config={tiny.ROOT}/configs/regression.py:smoke --workdir=x '


@pytest.fixture(name='train')
def fixture_train(monkeypatch):
  """Replaces training; returns the names of the runs, and {name: error} to raise."""
  names, errors = [], {}

  def train(config, workdir, terms):
    assert terms.defaults.seed == 0 and config.is_locked
    names.append(workdir.name)
    if workdir.name in errors:
      raise errors[workdir.name]

  monkeypatch.setattr(loop, 'train', train)
  return names, errors


@pytest.mark.parametrize(
  'errors, code',
  [
    ((), 0),
    ((NotFinite('diverged at 1'),), 1),
    ((NotFinite('diverged at 1'), ConfigError('wrong shape')), 2),
    ((RuntimeError('out of memory'), NotFinite('diverged at 1')), 70),
  ],
)
def test_a_failed_run_is_named_and_the_others_go_on(run, train, errors, code):
  names = [f'ema={ema},seed={seed}' for ema in (0.5, 0.9) for seed in (0, 1)]
  train[1].update(zip(names, errors, strict=False))
  result, out, err = run(f'{_LINE} --set=ema=0.5,0.9 --seeds=2')
  assert (result, train[0]) == (code, names)
  for name, error in train[1].items():
    assert f'{error}\n' in err and (code == 70 or f'depthjax: {name}: {error}\n' in err)
  assert (f'{len(errors)} of 4 runs failed: ema=0.5,seed=0' in err) == bool(errors)
  assert ('done: depthjax compare x' in out) != bool(errors)


def test_sigterm_ends_all_runs(run, train):
  train[1]['seed=1'] = Terminated('stopped at step 3')
  assert run(f'{_LINE} --seeds=3')[0] == 143
  assert train[0] == ['seed=0', 'seed=1']


def test_finished_runs_are_skipped(run, train, tmp_path):
  fields = [f'--set={name}={value}'.replace(' ', '') for name, value in tiny.FIELDS.items()]
  made.save(tmp_path / 'x' / 'seed=0', (6, {'psnr': 1.0}))
  code, out, _ = run(' '.join([_LINE, '--seeds=2', *fields]))
  assert (code, train[0]) == (0, ['seed=1'])
  assert f'[1/2] seed=0\nfinished before: {tmp_path}/x/seed=0\n[2/2] seed=1\n' in out


@pytest.mark.parametrize(
  'options, words',
  [
    ('--set=ema=0.5,1.5', 'ema is 1.5; it must be below 1'),
    ('--set=emma=0.5', 'emma'),
    ('--set=ema', "--set is 'ema'; it must be FIELD=VALUE"),
    ('--seeds=0', "Invalid value for '--seeds'"),
    ('--print --workdir=gs://bucket/x', 'gs://bucket/x'),
  ],
)
def test_all_runs_are_checked_before_the_first(run, train, options, words):
  code, _, err = run(f'{_LINE} {options}')
  messages.assert_one_line(err, words)
  assert (code, train[0]) == (2, [])


def test_print_writes_one_command_a_line(run, train, tmp_path):
  code, out, _ = run(
    f'{_LINE} --set=ema=0.5,0.9 --set=parallel.devices=64 --set=batch_size=64 '
    '--set=eval.examples=64 --print'
  )
  assert code == 0 and train[0] == [] and list(tmp_path.iterdir()) == []
  lines = out.splitlines()
  assert len(lines) == 2 and all(line.startswith('depthjax train --config=/') for line in lines)
  assert lines[1].endswith('--config.seed=0 --workdir=x/ema=0.9,seed=0')


@pytest.mark.slow
def test_other_rates_and_seeds_compile_nothing(run):
  """With a rate that the persistent cache of earlier tests cannot know."""
  peak, events = f'{secrets.randbelow(10**9) + 1}e-12', []
  fields = [f'--set={name}={value}'.replace(' ', '') for name, value in tiny.FIELDS.items()]
  line = ' '.join([_LINE, '--set=optimizer.peak=1e-3 --set=parallel.devices=1', *fields])
  assert run(line)[0] == 0
  jax.clear_caches()
  listener = lambda event, **_: events.append(event.rpartition('/')[2])  # noqa: E731
  jax.monitoring.register_event_listener(listener)
  try:
    line = line.replace('peak=1e-3', f'peak=1e-3,{peak} --seeds=2')
    assert run(line)[0] == 0
    assert events.count('cache_hits') > 4 and events.count('cache_misses') == 0
    events.clear()
    assert run(line)[0] == 0  # All runs are finished.
    assert 'compile_requests_use_cache' not in events
  finally:
    monitoring.unregister_event_listener(listener)
