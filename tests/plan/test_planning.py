"""Plans of configs: memory, collectives, the batch search, the report and the command."""

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
from depthjax.plan import chips, planning, report, roofline, topology
from depthjax.plan.planning import Compiled
from depthjax.plan.topology import Topology
from depthjax.train import experiment as experiment_lib
from tests import tiny
from tests.plan.test_topology import needs_libtpu


def _topology(count):
  """CPU devices with the rates of a GPU."""
  return Topology(f'h100:{count}', chips.CHIPS['h100'], jax.devices()[:count], count, False)


def _trial(required):
  """A compiled step on a device with 16 GB."""
  return Compiled(0, 0.0, None, required, 16e9, None, None)


@pytest.fixture(scope='module')
def planned():
  return planning.plan(tiny.config().lock(), _topology(8))


@pytest.mark.parametrize('path', sorted(tiny.ROOT.glob('configs/*.py')), ids=lambda path: path.stem)
def test_every_config_has_a_plan(path):
  """With the settings of the test that trains each, so that both share compiled programs."""
  config = configuring.load(path, 'smoke')
  with config.unlocked():
    config.steps, config.log_every, config.parallel.devices = 2, 1, 1
    config.batch_size = config.eval.examples = 2
    if 'start' in config.loss:
      config.loss.start = 1
  plan = planning.plan(config, _topology(1))
  assert plan.train.fits and plan.train.costs.traffic > plan.state_bytes
  # A gradient adds two products per product, except at the images. A step with pseudo-labels also
  # refines four windows of each image.
  ratio = sum(plan.train.work.matrix.values()) / sum(plan.evaluate.work.matrix.values())
  assert 2 < ratio <= (12 if config.data.kind == 'predictions' else 3.1)
  assert not plan.train.costs.collectives and not plan.train.work.unknown_loops
  assert report.verdict(plan).startswith('FITS')


def test_memory_includes_state_and_prefetched_batches(planned):
  experiment = experiment_lib.build(tiny.config())
  state = experiment.runner.init(experiment_lib.seed_key(0))
  assert planned.state_bytes == sum(x.nbytes for x in jax.tree.leaves(state))
  memory = planned.train.memory
  assert memory.arguments > planned.state_bytes and memory.outputs < memory.arguments / 2
  assert planned.train.required == sum(memory) and memory.prefetched > 0
  more = planning.plan(tiny.config(input__prefetch=5), planned.topology).train
  assert more.memory.prefetched == 2 * memory.prefetched  # 6 batches instead of 3
  assert more.required - planned.train.required == memory.prefetched


def test_each_gradient_is_reduced_once(planned):
  experiment = experiment_lib.build(planned.config, jax.devices())
  parameters = sum(x.size for x in jax.tree.leaves(experiment.runner.abstract.params))
  found = planned.train.costs.collectives
  assert {one.kind for one in found} == {'all-reduce'}
  # float32 gradients and a few statistics.
  assert 4 * parameters <= sum(one.operand_bytes * one.count for one in found) < 6 * parameters
  assert all(one.groups.shape == (1, 8) for one in found)


def _shown(plan):
  console = Console(record=True, width=120, file=io.StringIO())
  report.show(plan, console)
  return console.export_text()


def test_tables_and_json_have_the_same_numbers(planned):
  text, numbers = _shown(planned), json.loads(json.dumps(report.as_json(planned)))
  assert 'ESTIMATES' in text and numbers['exact'] is False
  assert numbers['verdict'] in text.replace('\n', ' ').replace('  ', ' ')
  assert numbers['train']['memory_bytes'] == planned.train.memory._asdict()
  flops = sum(planned.train.work.matrix.values()) / 8
  assert sum(numbers['train']['flops']['matrix'].values()) == pytest.approx(flops)
  assert f'{flops / 1e9:.1f} GFLOP' in text
  assert numbers['mesh'] == {'data': 8, 'fsdp': 1} and numbers['batch_size'] == 8


def test_program_larger_than_memory_does_not_fit(planned):
  small = planned.topology.chip._replace(hbm=planned.train.required / 2, usable=1.0)
  plan = planning.plan(tiny.config(), planned.topology._replace(chip=small), search=1)
  assert not plan.train.fits and plan.largest_batch is None
  text = report.verdict(plan)
  assert text.startswith('DOES NOT FIT: the train step needs') and 'model.remat' in text


def test_largest_batch_includes_the_train_step_itself(planned):
  trials = {64: _trial(1e12), 48: _trial(1e9)}
  plan = planned._replace(train=planned.train._replace(batch_size=64), trials=trials)
  assert plan.largest_batch == 64 and plan.smallest_failing_batch is None
  plan = planned._replace(trials={**trials, 8: _trial(1e8)})
  assert (plan.largest_batch, plan.smallest_failing_batch) == (48, 64)


def test_plan_uses_only_the_configs_devices():
  plan = planning.plan(tiny.config(parallel__devices=2), _topology(8))
  assert len(plan.topology.devices) == 2
  assert all(one.groups.shape == (1, 2) for one in plan.train.costs.collectives)


def test_pmap_is_refused():
  with pytest.raises(configuring.ConfigError, match='plan supports only jit'):
    planning.plan(tiny.config(parallel__mode='pmap'), _topology(8))


def _search(start, required, fixed):
  """Trials of a search with 16 GB of memory and batches of multiples of 16."""
  trials = {start: _trial(required(start))}
  while (size := planning.next_batch_size(trials, 16, 16e9, fixed)) is not None:
    assert size % 16 == 0 and size not in trials and len(trials) < 9
    trials[size] = _trial(required(size))
  return trials


@pytest.mark.parametrize('fixed, each', [(5e9, 0.9e9), (1e9, 0.04e9), (0.1e9, 3e9)])
@pytest.mark.parametrize('start', [16, 128])
def test_search_finds_the_largest_batch_within_a_sixteenth(fixed, each, start):
  trials = _search(start, lambda n: fixed + each * n / 16 * (1 + 0.1 * np.sin(n)), fixed)
  largest = max(size for size, trial in trials.items() if trial.fits)
  failing = min(size for size, trial in trials.items() if not trial.fits)
  assert failing - largest <= max(16, largest // 16)


def test_search_ends_where_no_batch_fits():
  assert min(_search(64, lambda size: 20e9 + size, 20e9)) == 16


_MESSAGES = {
  'Ran out of memory in memory space hbm. Used 30.5G of 15.75G hbm. Exceeded': (30.5, 15.75),
  'required for HLO temporaries (17.35G) exceeds available HBM (15.75G).': (17.35, 15.75),
  'temporaries (512.0M) exceeds available HBM (0.25G).': (0.5, 0.25),
  'INTERNAL: something else': (0, 0),
}


@pytest.mark.parametrize('message', _MESSAGES)
def test_out_of_memory_message_is_parsed(message):
  assert planning.parse_out_of_memory(message) == tuple(x * 2**30 for x in _MESSAGES[message])


def _command(*arguments, code=0):
  command = [str(pathlib.Path(sys.executable).with_name('depthjax')), 'plan', *arguments]
  done = subprocess.run(command, capture_output=True, text=True, cwd=tiny.ROOT)
  assert done.returncode == code, done.stderr
  return done


def test_command_prints_the_plan_and_writes_json(tmp_path):
  fields = [f for f in tiny.arguments(tmp_path) if not f.startswith('--workdir')]
  file = tmp_path / 'plan.json'
  done = _command(*fields, '--topology=a100:8', '--batch_size=16', '--search=0', f'--json={file}')
  assert '8 x NVIDIA A100' in done.stdout and 'FITS' in done.stdout
  plan = json.loads(file.read_text())
  assert plan['batch_size'] == 16 and plan['devices'] == 8


_BAD = {
  '--topology=v5q:8': 'expected CHIP:SHAPE',
  '': '--topology is missing',
  '--topology=h100:8 --batch_size=12': 'batch_size is 12; it must be a multiple of 8',
  '--topology=h100:8 --json=/nonexistent/plan.json': 'there is no folder',
}


@pytest.mark.parametrize('arguments', _BAD)
def test_command_refuses_bad_arguments_in_one_line(arguments):
  error = _command('--config=configs/lensblur.py:smoke', *arguments.split(), code=2).stderr
  assert _BAD[arguments] in error and len(error.splitlines()) == 1


@needs_libtpu
@pytest.mark.parametrize('name, slices', [('v5e:2x2', 1), ('v5e:2x2*2', 2)])
def test_tpu_plan_is_complete(name, slices):
  config, found = tiny.config(parallel__fsdp=2), topology.find(name)
  plan = planning.plan(config, found, quick=True)
  step, times = plan.train, roofline.times(plan.train, found)
  assert step.fits and step.costs.cycles > 0 and step.costs.unknown_loops == 1  # Tilted layers.
  assert step.costs.gather_elements == 0 and times.compiler > 0
  # Each device of a pair holds half of each sharded parameter, and sends it to the other.
  params = experiment_lib.build(config, found.devices).runner.abstract.params
  sharded = [x for x in jax.tree.leaves(params) if not x.sharding.is_fully_replicated]
  gathers = [one for one in step.costs.collectives if one.kind == 'all-gather']
  sent = sum(x.operand_bytes for x in gathers if x.groups.tolist() == [[0, 1], [2, 3]])
  assert sent == sum(x.size * x.dtype.itemsize for x in sharded) // 2
  assert (roofline.bytes_sent(step, found)[1] > 0) == (slices > 1)
  text = _shown(plan)
  assert 'ESTIMATES' not in text and "compiler's estimate" in text and 'FITS: ' in text


@needs_libtpu
def test_batch_that_is_too_large_for_a_tpu_does_not_fit():
  config = tiny.config(batch_size=400_000, eval__examples=400_000)
  plan = planning.plan(config, topology.find('v5e:2x2'), quick=True)
  assert not plan.train.fits and plan.train.required > plan.train.available > 15 * 2**30
