"""Compiles the steps of a config for a topology and searches for the largest batch that fits."""

import functools
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from depthjax import configuring
from depthjax.data import splits
from depthjax.plan import costs as costs_lib
from depthjax.plan import program as program_lib
from depthjax.plan import work as work_lib
from depthjax.plan.costs import Costs
from depthjax.plan.topology import Topology
from depthjax.plan.work import Work
from depthjax.train import experiment as experiment_lib

# The compiler's message for a program that is too large, after and before memory assignment.
_OUT_OF_MEMORY = re.compile(
  r'Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm'
  r'|\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)'
)
# On a TPU this takes an eighth of the time, for a program that needs up to a third more memory.
_QUICK = {'exec_time_optimization_effort': -1.0}
_UNITS = {'': 0, 'K': 10, 'M': 20, 'G': 30, 'T': 40}


class Memory(NamedTuple):
  """Bytes that a step needs on one device."""

  arguments: int  # State, frozen networks and batch.
  prefetched: int  # Batches sent before their step: config.input.prefetch and one more.
  outputs: int  # Results that are not written in place of a donated argument.
  temporaries: int  # Peak of the intermediate values.
  code: int  # The program.


class Compiled(NamedTuple):
  """A step compiled for a topology. `memory` and `costs` are None if it does not fit."""

  batch_size: int  # Examples over all devices.
  seconds: float  # To trace and compile.
  work: Work  # Of all devices together.
  required: float  # Bytes of one device.
  available: float  # Bytes of one device.
  memory: Memory | None
  costs: Costs | None

  @property
  def fits(self) -> bool:
    """Whether the device has enough memory."""
    return self.required <= self.available


class Plan(NamedTuple):
  """The result of `depthjax plan`: both steps at the config's batch size, and the batch search."""

  config: ml_collections.ConfigDict
  topology: Topology
  state_bytes: int  # Of one device.
  train: Compiled
  evaluate: Compiled
  trials: dict[int, Compiled]  # Train steps by batch size; on a TPU they are compiled quickly.

  @property
  def largest_batch(self) -> int | None:
    """The largest compiled batch size that fits."""
    fitting = [size for size, trial in self.trials.items() if trial.fits]
    fitting += [self.train.batch_size] if self.train.fits else []
    return max(fitting, default=None)

  @property
  def smallest_failing_batch(self) -> int | None:
    """The smallest compiled batch size above `largest_batch`."""
    failing = [size for size, trial in self.trials.items() if not trial.fits]
    failing += [] if self.train.fits else [self.train.batch_size]
    return min((size for size in failing if size > (self.largest_batch or 0)), default=None)


def plan(
  config: ml_collections.ConfigDict,
  topology: Topology,
  *,
  search: int = 0,
  quick: bool = False,
  progress: Callable[[str], None] = lambda _: None,
) -> Plan:
  """Compiles the train and evaluation steps, then train steps of up to `search` batch sizes.

  `quick` compiles as in the search, for a first look at large configs. `progress` is called with a
  line before each compilation.

  Raises ConfigError: the config cannot run on so many devices, or uses pmap.
  """
  if config.parallel.mode != 'jit':
    raise configuring.ConfigError(
      f'parallel.mode is {config.parallel.mode!r}; plan supports only jit'
    )
  devices = topology.devices[: config.parallel.devices or None]
  topology = topology._replace(devices=devices, domain=min(topology.domain, len(devices)))
  experiment, arguments = _experiment(config, topology)
  progress(f'compiling the train step, batch {config.batch_size}')
  compiled = functools.partial(_compiled, config=config, topology=topology, quick=quick)
  train = compiled(experiment.runner.step, arguments)
  size = splits.rounded(config.eval.batch_size or config.batch_size, len(devices))
  progress(f'compiling the evaluation step, batch {size}')
  batch = experiment_lib.placeholder_batch(config, size)
  evaluate = compiled(experiment.evaluate, (*arguments[:2], batch))
  reusable = search and (quick or not topology.exact)  # The step was compiled as in the search.
  trials = {config.batch_size: train} if reusable else {}
  multiple = len(devices) * config.microbatches
  size: int | None = config.batch_size
  for _ in range(search):
    if trials:
      size = next_batch_size(trials, multiple, train.available, _device_bytes(arguments[:2]))
    if size is None:
      break
    progress(f'searching: compiling the train step, batch {size}')
    trials[size] = _trial(config, topology, size)
  return Plan(config, topology, _device_bytes(arguments[0]), train, evaluate, trials)


def next_batch_size(
  trials: dict[int, Compiled], multiple: int, available: float, fixed: float
) -> int | None:
  """The next multiple of `multiple` to try, None once the largest that fits is known within 1/16.

  Memory grows nearly linearly with the batch size. The line goes through the two trials that are
  nearest to the `available` bytes, or through one trial and the `fixed` bytes of an empty batch.
  """
  low = max((size for size, trial in trials.items() if trial.fits), default=0)
  high = min((size for size, trial in trials.items() if not trial.fits), default=None)
  precision = max(multiple, low // 16 // multiple * multiple)
  if high and high - low <= precision:
    return None
  points = [(size, trial.required) for size, trial in trials.items()]
  points = sorted(points, key=lambda point: abs(point[1] - available))[:2]
  (a, required_a), (b, required_b) = [*points, (0, fixed)][:2]
  slope = (required_a - required_b) / (a - b)
  target = a + (available - required_a) / slope if slope > 0 else 2 * a
  margin = (high - low) / 8 if high else precision  # Not too close to a known size.
  target = max(target, low + margin)
  target = min(target, high - margin) if high else target
  size = max(int(target // multiple) * multiple, low + multiple)
  return size if size not in trials else None


def _experiment(config: ml_collections.ConfigDict, topology: Topology) -> tuple[Any, tuple]:
  """An experiment and the abstract arguments of its train step."""
  experiment = experiment_lib.build(config, topology.devices)
  runner, batch = experiment.runner, experiment_lib.placeholder_batch(config)
  return experiment, (runner.abstract, runner.frozen, experiment.hyper, batch)


def _trial(config: ml_collections.ConfigDict, topology: Topology, size: int) -> Compiled:
  config = configuring.with_fields(config, {'batch_size': size})
  experiment, arguments = _experiment(config, topology)
  step = experiment.runner.step
  return _compiled(step, arguments, config=config, topology=topology, quick=True)


def _compiled(
  step: Any, arguments: tuple, *, config: ml_collections.ConfigDict, topology: Topology, quick: bool
) -> Compiled:
  begin, count = time.perf_counter(), len(topology.devices)
  size = jax.tree.leaves(arguments[-1])[0].shape[0]
  traced = step.trace(*arguments)
  work = work_lib.work(traced.jaxpr)
  options = _QUICK if quick and topology.exact else None
  try:
    compiled = traced.lower().compile(compiler_options=options)
  except jax.errors.JaxRuntimeError as error:
    required, available = parse_out_of_memory(str(error))
    if not required:
      raise
    seconds = time.perf_counter() - begin
    return Compiled(size, seconds, work, required, available, None, None)
  batch = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arguments[-1]))
  sizes = compiled.memory_analysis()
  memory = Memory(
    arguments=sizes.argument_size_in_bytes,
    prefetched=(config.input.prefetch + 1) * batch // count,
    outputs=sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
    temporaries=sizes.temp_size_in_bytes,
    code=sizes.generated_code_size_in_bytes,
  )
  slices = count // topology.domain if topology.exact else 1
  costs = costs_lib.costs(program_lib.parse(compiled.as_text()), count // slices, slices)
  seconds, available = time.perf_counter() - begin, topology.chip.hbm * topology.chip.usable
  return Compiled(size, seconds, work, sum(memory), available, memory, costs)


def _device_bytes(abstract: Any) -> int:
  """Bytes of abstract arrays on one device."""
  return sum(
    int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
    for x in jax.tree.leaves(abstract)
  )


def parse_out_of_memory(message: str) -> tuple[float, float]:
  """Required and available bytes in the compiler's message; zeros if it is another error."""
  match = _OUT_OF_MEMORY.search(message)
  if not match:
    return 0.0, 0.0
  required, unit, available, other = (group for group in match.groups() if group is not None)
  return float(required) * 2 ** _UNITS[unit], float(available) * 2 ** _UNITS[other]
