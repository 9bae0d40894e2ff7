"""Plans: every config has one, its numbers are those of the program, and the search finds."""

import io
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from rich.console import Console

from depthjax import configuring
from depthjax.plan import chips, planning, report
from depthjax.plan.topology import Topology
from depthjax.train import experiment as experiment_lib
from tests import tiny

_CONFIGS = sorted(tiny.ROOT.glob('configs/*.py'))


def _devices(count):
  """A GPU's facts and devices of this machine."""
  return Topology(f'h100:{count}', chips.CHIPS['h100'], jax.devices()[:count], count, False)


@pytest.fixture(scope='module')
def planned():
  return planning.plan(tiny.config().lock(), _devices(8))


@pytest.mark.slow
@pytest.mark.parametrize('path', _CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_planned(path):
  """As in the test that trains each, so that both share what is compiled."""
  config = configuring.load(path, 'smoke')
  with config.unlocked():
    config.steps, config.log_every, config.parallel.devices = 2, 1, 1
    config.batch_size = config.eval.examples = 2
    if 'start' in config.loss:
      config.loss.start = 1
  plan = planning.plan(config, _devices(1))
  assert plan.train.fits and plan.train.costs.traffic > plan.state_bytes
  # A gradient is two products more of each, but not of what is nearest to the pictures.
  ratio = sum(plan.train.work.matrix.values()) / sum(plan.evaluate.work.matrix.values())
  # With pseudo-labels the step refines four windows of each picture as well, which are cut out and
  # laid over it by products, too.
  assert 2 < ratio <= (12 if config.data.kind == 'predictions' else 3.1)
  assert not plan.train.costs.collectives and plan.train.work.unknown_loops == 0
  assert report.verdict(plan).startswith('FITS')


def test_memory_is_that_of_the_state_and_the_program(planned):
  experiment = experiment_lib.build(tiny.config())
  state = experiment.runner.init(experiment_lib.seed_key(0))
  assert planned.state_bytes == sum(x.nbytes for x in jax.tree.leaves(state))
  memory = planned.train.memory
  assert memory.arguments > planned.state_bytes and memory.outputs < memory.arguments / 2
  assert planned.train.used == memory.total == sum(memory)


def test_the_gradients_cross_the_devices_once(planned):
  """All-reduces of float32 gradients: each parameter once, beside small statistics."""
  parameters = sum(x.size for x in jax.tree.leaves(_params(planned.config)))
  assert {one.kind for one in planned.train.costs.collectives} == {'all-reduce'}
  sent = sum(one.size * one.times for one in planned.train.costs.collectives)
  assert 4 * parameters <= sent < 6 * parameters
  assert all(one.groups.shape == (1, 8) for one in planned.train.costs.collectives)


def _params(config):
  return experiment_lib.build(config, jax.devices()).runner.abstract.params


def test_the_report_says_the_same_in_words_and_numbers(planned):
  console = Console(record=True, width=120, file=io.StringIO())
  report.show(planned, console)
  text, numbers = console.export_text(), json.loads(json.dumps(report.as_json(planned)))
  assert 'ESTIMATES' in text and numbers['exact'] is False
  assert numbers['verdict'] in text.replace('\n', ' ').replace('  ', ' ')
  assert len(numbers['train']['collectives']) == len(planned.train.costs.collectives)
  assert numbers['train']['memory_bytes']['temporaries'] == planned.train.memory.temporaries
  flops = sum(planned.train.work.matrix.values()) / 8
  assert sum(numbers['train']['flops']['matrix'].values()) == pytest.approx(flops)
  assert f'{flops / 1e9:.1f} GFLOP' in text
  assert numbers['mesh'] == {'data': 8, 'fsdp': 1} and numbers['batch_size'] == 8


def test_a_program_too_large_is_said_not_to_fit(planned):
  small = planned.topology.chip._replace(hbm=planned.train.used / 2, usable=1.0)
  plan = planning.plan(tiny.config(), planned.topology._replace(chip=small), search=1)
  assert not plan.train.fits and plan.largest is None
  said = report.verdict(plan)
  assert said.startswith('DOES NOT FIT: the train step wants') and 'model.remat' in said


def test_batches_sent_ahead_take_memory(planned):
  (batch,) = {x for x in [planned.train.memory.ahead] if x > 0}
  config = tiny.config(input__prefetch=5)
  more = planning.plan(config, planned.topology)
  assert more.train.memory.ahead == batch * 6 // 3
  assert more.train.used - planned.train.used == batch


def test_the_verdict_counts_what_was_compiled_thoroughly(planned):
  quick = {64: (False, 1e12), 48: (True, 1e9)}
  plan = planned._replace(train=planned.train._replace(batch_size=64), tried=quick)
  assert plan.largest == 64 and plan.bound is None
  plan = planned._replace(tried={**quick, 8: (True, 1e8)})
  assert (plan.largest, plan.bound) == (48, 64)


def test_a_part_of_the_devices_is_planned_as_a_part():
  plan = planning.plan(tiny.config(parallel__devices=2), _devices(8))
  assert len(plan.topology.devices) == 2 and plan.unit == 2
  assert all(one.groups.shape == (1, 2) for one in plan.train.costs.collectives)


def test_pmap_is_not_planned_for():
  with pytest.raises(configuring.ConfigError, match='plan knows jit alone'):
    planning.plan(tiny.config(parallel__mode='pmap'), _devices(8))


@pytest.mark.parametrize('fixed, each', [(5e9, 0.9e9), (1e9, 0.04e9), (0.1e9, 3e9)])
@pytest.mark.parametrize('start', [16, 128])
def test_the_search_finds_the_largest_batch_within_a_sixteenth(fixed, each, start):
  """Memory that grows nearly, not quite, in proportion to the batch; 16 examples at a time."""
  limit, unit = 16e9, 16
  wants = lambda size: fixed + each * size / unit * (1 + 0.1 * np.sin(size))  # noqa: E731
  tried = {start: (wants(start) <= limit, wants(start))}
  while (size := planning.next_size(tried, unit, limit, fixed)) is not None:
    assert size % unit == 0 and size not in tried
    tried[size] = (wants(size) <= limit, wants(size))
    assert len(tried) < 9
  largest = max(size for size, (fits, _) in tried.items() if fits)
  bound = min(size for size, (fits, _) in tried.items() if not fits)
  assert bound - largest <= max(unit, largest // 16)


def test_where_nothing_fits_the_search_ends():
  tried = {64: (False, 40e9)}
  while (size := planning.next_size(tried, 16, 16e9, 20e9)) is not None:
    tried[size] = (False, 20e9 + size)
  assert min(tried) == 16 and len(tried) < 6


@pytest.mark.parametrize(
  'message, wants, there',
  [
    ('Ran out of memory in memory space hbm. Used 30.5G of 15.75G hbm. Exceeded', 30.5, 15.75),
    ('required for HLO temporaries (17.35G) exceeds available HBM (15.75G).', 17.35, 15.75),
    ('temporaries (512.0M) exceeds available HBM (0.25G).', 0.5, 0.25),
    ('INTERNAL: something else', 0, 0),
  ],
)
def test_what_a_compiler_says_of_memory_is_read(message, wants, there):
  assert planning.too_large(message) == (wants * 2**30, there * 2**30)


def _command(*arguments):
  command = [str(pathlib.Path(sys.executable).with_name('depthjax')), 'plan', *arguments]
  return subprocess.run(command, capture_output=True, text=True, cwd=tiny.ROOT)


def test_the_command_prints_a_plan_and_writes_it(tmp_path):
  fields = [f for f in tiny.arguments(tmp_path) if not f.startswith('--workdir')]
  where = tmp_path / 'plan.json'
  done = _command(*fields, '--topology=a100:8', '--batch_size=16', '--search=0', f'--json={where}')
  assert done.returncode == 0, done.stderr
  assert '8 x NVIDIA A100' in done.stdout and 'FITS' in done.stdout
  plan = json.loads(where.read_text())
  assert plan['batch_size'] == 16 and plan['devices'] == 8


@pytest.mark.parametrize(
  'arguments, said',
  [
    (['--topology=v5q:8'], 'expected CHIP:SHAPE'),
    ([], '--topology is missing'),
    (['--topology=h100:8', '--batch_size=12'], 'batch_size is 12; it must be a multiple of 8'),
    (['--topology=h100:8', '--json=/nonexistent/plan.json'], 'there is no folder'),
  ],
)
def test_what_cannot_be_planned_is_said_in_one_line(arguments, said):
  done = _command('--config=configs/lensblur.py:smoke', *arguments)
  assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
