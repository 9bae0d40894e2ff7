"""Prints a plan as tables, and converts it to JSON with the same numbers."""

import collections
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from depthjax.plan import roofline
from depthjax.plan.collectives import Collective
from depthjax.plan.planning import Compiled, Plan

# A TPU gathers elements one at a time, in some nanoseconds each; more than this takes >= 10 ms.
_MANY_GATHERS = 10_000_000
_SHOWN = 8  # Rows of collectives in the table; the JSON has all.


def as_json(plan: Plan) -> dict[str, Any]:
  """The plan for programs: bytes, FLOPs and seconds of one device."""
  config, topology = plan.config, plan.topology
  return {
    'task': config.task,
    'topology': topology.name,
    'chip': topology.chip._asdict(),
    'devices': len(topology.devices),
    'exact': topology.exact,
    'mesh': {'data': len(topology.devices) // config.parallel.fsdp, 'fsdp': config.parallel.fsdp},
    'batch_size': config.batch_size,
    'state_bytes': plan.state_bytes,
    'train': _step_json(plan, plan.train),
    'evaluate': _step_json(plan, plan.evaluate),
    'trials': [
      {'batch_size': size, 'fits': trial.fits, 'required_bytes': trial.required}
      for size, trial in sorted(plan.trials.items())
    ],
    'largest_batch': plan.largest_batch,
    'smallest_failing_batch': plan.smallest_failing_batch,
    'verdict': verdict(plan),
  }


def _step_json(plan: Plan, step: Compiled) -> dict[str, Any]:
  count = len(plan.topology.devices)
  result = {
    'fits': step.fits,
    'required_bytes': step.required,
    'available_bytes': step.available,
    'compile_seconds': step.seconds,
    'flops': {
      'matrix': {name: flops / count for name, flops in step.work.matrix.items()},
      'vector': step.work.vector / count,
    },
  }
  if step.memory is None:
    return result
  times = roofline.times(step, plan.topology)
  return {
    **result,
    'memory_bytes': step.memory._asdict(),
    'traffic_bytes': step.costs.traffic,
    'gather_elements': step.costs.gather_elements,
    'collectives': [
      {**one._asdict(), 'groups': list(one.groups.shape)} for one in step.costs.collectives
    ],
    'unknown_loops': step.costs.unknown_loops + step.work.unknown_loops,
    'seconds': times._asdict(),
    'roofline_seconds': times.roofline,
    'bottleneck': times.bottleneck,
    'matrix_unit_utilization': times.matrix / times.roofline,
  }


def show(plan: Plan, console: Console) -> None:
  """Prints the tables and, last, the verdict."""
  chip, count = plan.topology.chip, len(plan.topology.devices)
  fsdp = plan.config.parallel.fsdp
  console.print(
    f'{plan.config.task}, batch {plan.config.batch_size} on {count} x {chip.name} '
    f'({chip.hbm / 2**30:.0f} GiB each): data {count // fsdp} x fsdp {fsdp}, '
    f'state {_size(plan.state_bytes)} per device'
  )
  if not plan.topology.exact:
    console.print(
      'ESTIMATES: programs for this chip cannot be compiled here. Memory, traffic and '
      'collectives are those of the program compiled for as many CPU devices.'
    )
  steps = {'train step': plan.train, 'evaluation step': plan.evaluate}
  console.print(_memory_table(steps))
  fitting = {name: step for name, step in steps.items() if step.memory}
  if fitting:
    console.print(_times_table(plan, fitting))
  if plan.train.memory:
    console.print(_collectives_table(plan.train))
  if plan.trials:
    console.print(_trials_table(plan))
  console.print(verdict(plan), style='bold')


def verdict(plan: Plan) -> str:
  """Whether the steps fit, the bottleneck, and the largest batch, in a few sentences."""
  train, chip = plan.train, plan.topology.chip
  available = _size(chip.hbm)
  if train.available != chip.hbm:
    available += f', of which JAX can use {_size(train.available)}'
  steps = {'train': train, 'evaluation': plan.evaluate}
  name = next((name for name, step in steps.items() if not step.fits), None)
  if name:
    text = f'DOES NOT FIT: the {name} step needs {_size(steps[name].required)} of {available}.'
  else:
    times = roofline.times(train, plan.topology)
    text = (
      f'FITS: {_size(train.required)} of {available}. A step takes at least '
      f'{_time(times.roofline)}, limited by {times.bottleneck}: at most '
      f'{plan.config.batch_size / times.roofline:,.0f} examples/s.'
    )
    if chip.platform == 'tpu' and train.costs.gather_elements > _MANY_GATHERS:
      text += (
        f' {train.costs.gather_elements / 1e6:,.0f} million elements are gathered, which is slow '
        'on a TPU and not included in these times.'
      )
  return f'{text} {_largest(plan)}' if plan.trials else text


def _largest(plan: Plan) -> str:
  largest, failing = plan.largest_batch, plan.smallest_failing_batch
  if largest is None:
    return (
      f'No batch fits, down to {failing}; try microbatches, model.remat, model.dtype=bfloat16, '
      'or more devices.'
    )
  if failing is None:
    return f'The largest batch tried, {largest}, fits; larger ones may fit too.'
  quickly = ' (compiled quickly)' if plan.topology.exact else ''
  return f'The largest batch known to fit is {largest}; {failing}{quickly} does not fit.'


def _memory_table(steps: dict[str, Compiled]) -> Table:
  table = _table('memory per device', '', *steps)
  rows = {
    'arguments (state, batch)': 'arguments',
    'prefetched batches': 'prefetched',
    'outputs': 'outputs',
    'temporaries': 'temporaries',
    'program code': 'code',
  }
  for name, field in rows.items():
    sizes = (_size(getattr(s.memory, field)) if s.memory else '?' for s in steps.values())
    table.add_row(name, *sizes)
  table.add_row('total', *(_size(step.required) for step in steps.values()))
  table.add_row('fraction of memory', *(f'{s.required / s.available:.0%}' for s in steps.values()))
  table.add_row('compile time', *(f'{step.seconds:.0f} s' for step in steps.values()))
  return table


def _times_table(plan: Plan, steps: dict[str, Compiled]) -> Table:
  """One row per resource: the amount that a step uses, and the time at the peak rate."""
  table = _table('one step at peak rates', 'per device', *steps)
  count = len(plan.topology.devices)
  times = {name: roofline.times(step, plan.topology) for name, step in steps.items()}
  sent = {name: roofline.bytes_sent(step, plan.topology) for name, step in steps.items()}
  matrix = {name: sum(step.work.matrix.values()) / count for name, step in steps.items()}
  rows = {
    'matrix': ('matrix units', lambda n, s: f'{matrix[n] / 1e9:,.1f} GFLOP'),
    'vector': ('vector units', lambda n, s: f'{s.work.vector / count / 1e9:,.1f} Gop'),
    'memory': ('memory traffic', lambda n, s: _size(s.costs.traffic)),
    'links': ('links between chips', lambda n, s: _size(sent[n][0])),
    'network': ('network', lambda n, s: _size(sent[n][1])),
  }
  for field, (name, amount) in rows.items():
    cells = [f'{amount(n, s)}, {_time(getattr(times[n], field))}' for n, s in steps.items()]
    table.add_row(name, *cells)
  table.add_row('roofline', *(f'{_time(t.roofline)}, {t.bottleneck}' for t in times.values()))
  table.add_row('sum (no overlap)', *(_time(t.sequential) for t in times.values()))
  if all(t.compiler for t in times.values()):
    table.add_row("compiler's estimate *", *(_time(t.compiler) for t in times.values()))
  gathers = (f'{step.costs.gather_elements / 1e6:,.1f} M' for step in steps.values())
  table.add_row('gather elements', *gathers)
  unknown = sum(s.costs.unknown_loops + s.work.unknown_loops for s in steps.values())
  table.caption = '* Without collectives. No time includes gathers: they have no published rate.'
  if unknown:
    table.caption += f' {unknown} loops of unknown trip count are counted once.'
  return table


def _collectives_table(step: Compiled) -> Table:
  """Collectives of the same kind, groups and size in one row, largest totals first."""
  same: dict[tuple, list[Collective]] = collections.defaultdict(list)
  for one in step.costs.collectives:
    same[one.kind, one.groups.shape, one.operand_bytes].append(one)
  total = lambda found: sum(one.operand_bytes * one.count for one in found)  # noqa: E731
  count = lambda found: f'{sum(one.count for one in found)}'  # noqa: E731
  rows = sorted(same.items(), key=lambda item: -total(item[1]))
  title = f'collectives of the train step: {count(step.costs.collectives)}'
  table = _table(title, 'kind', 'groups x devices', 'bytes each', 'count', 'example')
  for (kind, groups, size), found in rows[:_SHOWN]:
    scope = found[0].scope.rpartition('jit(train_step)/')[2]
    scope = scope if len(scope) <= 48 else f'...{scope[-45:]}'  # The innermost names say the most.
    table.add_row(kind, f'{groups[0]} x {groups[1]}', _size(size), count(found), scope)
  rest = [one for _, found in rows[_SHOWN:] for one in found]
  if rest:
    table.add_row('others, smaller', '', f'{_size(total(rest))} in total', count(rest), '')
  return table


def _trials_table(plan: Plan) -> Table:
  note = ' (compiled quickly, which needs more memory)' if plan.topology.exact else ''
  table = _table(f'batch search{note}', 'batch', 'memory', 'fits')
  for size, trial in sorted(plan.trials.items()):
    table.add_row(str(size), _size(trial.required), 'yes' if trial.fits else 'no')
  return table


def _table(title: str, *columns: str) -> Table:
  table = Table(title=title, box=box.SIMPLE, title_justify='left', caption_justify='left')
  for number, column in enumerate(columns):
    table.add_column(column, justify='left' if number == 0 else 'right', overflow='fold')
  return table


def _size(size: float) -> str:
  for unit, power in (('GiB', 30), ('MiB', 20), ('KiB', 10)):
    if size >= 2**power:
      return f'{size / 2**power:,.1f} {unit}'
  return f'{size:.0f} B'


def _time(seconds: float | None) -> str:
  return '?' if seconds is None else f'{1e3 * seconds:,.2f} ms'
