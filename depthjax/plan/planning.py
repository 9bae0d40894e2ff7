"""Plans a run: compiles its steps for a topology, adds up what they cost, searches the batch."""

import functools
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from depthjax.configuring import ConfigError
from depthjax.plan import costs as costs_lib
from depthjax.plan import program as program_lib
from depthjax.plan import work as work_lib
from depthjax.plan.costs import Costs
from depthjax.plan.topology import Topology
from depthjax.plan.work import Work
from depthjax.train import experiment as experiment_lib

# What the compiler says of a program too large, when it has laid it out and before that.
_USED = re.compile(
  r'Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm'
  r'|\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)'
)
# On a TPU an eighth of the time, for a program that wants up to a third more memory.
_QUICK = {'exec_time_optimization_effort': -1.0}
_UNITS = {'': 0, 'K': 10, 'M': 20, 'G': 30, 'T': 40}


class Memory(NamedTuple):
  """Bytes of one device that a step takes.

  Fields:
    arguments: state, frozen networks and batch.
    ahead: the batches that are sent before their step, and the one in the sender's hand.
    outputs: results that do not take the place of an argument.
    temporaries: everything in between, at its largest.
    code: the program itself.
  """

  arguments: int
  ahead: int
  outputs: int
  temporaries: int
  code: int

  @property
  def total(self) -> int:
    """What must fit at once."""
    return sum(self)


class Compiled(NamedTuple):
  """A step compiled for a topology. What only a fitting program has is None where it does not fit.

  Fields:
    batch_size: examples over all devices.
    seconds: what tracing and compiling took.
    work: of all devices together.
    used: bytes that the program wants, of `limit` that the compiler gives; for an estimate the
      limit is the share of the memory that JAX takes.
  """

  batch_size: int
  seconds: float
  work: Work
  used: float
  limit: float
  memory: Memory | None
  costs: Costs | None

  @property
  def fits(self) -> bool:
    """Whether the program can be loaded."""
    return self.used <= self.limit


class Plan(NamedTuple):
  """What `depthjax plan` tells.

  Fields:
    train, evaluate: the two steps at the batch size asked for.
    unit: batch sizes must be multiples of it.
    tried: batch size -> whether its train step fits, compiled quickly where that is a choice, and
      the bytes it wants.
  """

  config: ml_collections.ConfigDict
  topology: Topology
  state_bytes: int
  train: Compiled
  evaluate: Compiled
  unit: int
  tried: dict[int, tuple[bool, float]]

  @property
  def largest(self) -> int | None:
    """The largest batch that was compiled, however quickly, and fits."""
    fitting = [size for size, (fits, _) in self.tried.items() if fits]
    return max([*fitting, self.train.batch_size] if self.train.fits else fitting, default=None)

  @property
  def bound(self) -> int | None:
    """The smallest batch above that which does not fit, compiled quickly if the search did."""
    failing = [size for size, (fits, _) in self.tried.items() if not fits]
    failing += [] if self.train.fits else [self.train.batch_size]
    return min((size for size in failing if size > (self.largest or 0)), default=None)


def plan(
  config: ml_collections.ConfigDict,
  topology: Topology,
  *,
  search: int = 0,
  quick: bool = False,
  say: Callable[[str], None] = lambda _: None,
) -> Plan:
  """Compiles train and evaluation step, then train steps of up to `search` batches.

  Args:
    quick: compile as the search does, for a first look at large configs.

  Raises:
    ConfigError: the config cannot run on so many devices, or under pmap, which is not planned for.
  """
  if config.parallel.mode != 'jit':
    raise ConfigError(f'parallel.mode is {config.parallel.mode!r}; plan knows jit alone')
  used = topology.devices[: config.parallel.devices or None]
  topology = topology._replace(devices=used, island=min(topology.island, len(used)))
  experiment, batch = _built(config, topology)
  state, frozen = experiment.runner.abstract, experiment.runner.frozen
  say(f'compiling the train step, batch {config.batch_size}')
  compiled = functools.partial(_compiled, topology=topology, ahead=config.input.prefetch)
  arguments = state, frozen, batch
  train = compiled(experiment.runner.step, arguments, quick=quick)
  say(f'compiling the evaluation step, batch {config.batch_size}')
  evaluate = compiled(experiment.evaluate, arguments, quick=quick)
  unit = len(topology.devices) * config.microbatches
  fixed = _bytes((state, frozen))
  known = search and (quick or not topology.exact)
  tried = {config.batch_size: (train.fits, train.used)} if known else {}
  size: int | None = config.batch_size
  for _ in range(search):
    size = next_size(tried, unit, train.limit, fixed) if tried else size
    if size is None:
      break
    say(f'searching: compiling the train step, batch {size}')
    tried[size] = _tries(config, topology, size)
  return Plan(config, topology, _bytes(state), train, evaluate, unit, tried)


def next_size(
  tried: dict[int, tuple[bool, float]], unit: int, limit: float, fixed: float
) -> int | None:
  """The next batch size to try, None once the largest that fits is known to a sixteenth.

  What a program wants grows nearly in proportion to its batch: the size aimed at is that of a
  straight line through the two sizes nearest to the limit, or through one and the state alone.
  """
  low = max((size for size, (fits, _) in tried.items() if fits), default=0)
  high = min((size for size, (fits, _) in tried.items() if not fits), default=None)
  enough = max(unit, low // 16 // unit * unit)
  if high and high - low <= enough:
    return None
  points = sorted(tried, key=lambda size: abs(tried[size][1] - limit))[:2]
  (a, wants_a) = points[0], tried[points[0]][1]
  (b, wants_b) = (points[1], tried[points[1]][1]) if len(points) > 1 else (0, fixed)
  slope = (wants_a - wants_b) / (a - b)
  aim = a + (limit - wants_a) / slope if slope > 0 else 2 * a
  # Never so close to what is known that little is learned.
  aim = max(aim, low + (high - low) / 8) if high else max(aim, low + enough)
  aim = min(aim, high - (high - low) / 8) if high else aim
  size = max(int(aim // unit) * unit, low + unit)
  return size if size not in tried else None


def _built(config: ml_collections.ConfigDict, topology: Topology) -> tuple[Any, Any]:
  experiment = experiment_lib.build(config, topology.devices)
  return experiment, experiment_lib.placeholder_batch(config)


def _tries(config: ml_collections.ConfigDict, topology: Topology, size: int) -> tuple[bool, float]:
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.batch_size = config.eval.examples = size
  experiment, batch = _built(config, topology)
  runner, ahead = experiment.runner, config.input.prefetch
  arguments = runner.abstract, runner.frozen, batch
  done = _compiled(runner.step, arguments, topology=topology, ahead=ahead, quick=True)
  return done.fits, done.used


def _compiled(
  step: Any, arguments: tuple, *, topology: Topology, ahead: int, quick: bool
) -> Compiled:
  begin, batch = time.perf_counter(), arguments[-1]
  traced = step.trace(*arguments)
  work = work_lib.work(traced.jaxpr)
  size = jax.tree.leaves(batch)[0].shape[0]
  limit = topology.chip.hbm * topology.chip.usable
  try:
    options = _QUICK if quick and topology.exact else None
    compiled = traced.lower().compile(compiler_options=options)
  except jax.errors.JaxRuntimeError as error:
    used, limit = too_large(str(error))
    if not used:
      raise
    return Compiled(size, time.perf_counter() - begin, work, used, limit, None, None)
  batch_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(batch))
  sent = (ahead + 1) * batch_bytes // len(topology.devices)
  memory = _memory(compiled.memory_analysis(), sent)
  program = program_lib.parse(compiled.as_text())
  slices = len(topology.devices) // topology.island if topology.exact else 1
  costs = costs_lib.costs(program, len(topology.devices) // slices, slices)
  return Compiled(size, time.perf_counter() - begin, work, memory.total, limit, memory, costs)


def _memory(analysis: Any, ahead: int) -> Memory:
  return Memory(
    arguments=analysis.argument_size_in_bytes,
    ahead=ahead,
    outputs=analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
    temporaries=analysis.temp_size_in_bytes,
    code=analysis.generated_code_size_in_bytes,
  )


def _bytes(abstract: Any) -> int:
  """Bytes of abstract arrays on one device."""
  return sum(
    int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
    for x in jax.tree.leaves(abstract)
  )


def too_large(message: str) -> tuple[float, float]:
  """Bytes that a program wants and those that there are, of a compiler's refusal; or zeros."""
  match = _USED.search(message)
  if not match:
    return 0.0, 0.0
  wants, unit, there, its_unit = (group for group in match.groups() if group is not None)
  return float(wants) * 2 ** _UNITS[unit], float(there) * 2 ** _UNITS[its_unit]
