"""A plan in words and tables, and as JSON: the same numbers in both."""

import collections
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from depthjax.plan import roofline
from depthjax.plan.collectives import Collective
from depthjax.plan.planning import Compiled, Plan

# Values that a TPU gathers in a few milliseconds, at some nanoseconds each; more is worth a word.
_GATHERS = 10_000_000
_SHOWN = 8  # Rows of collectives on the terminal; the JSON has every one.


def as_json(plan: Plan) -> dict[str, Any]:
  """Everything that was found, for machines: bytes, FLOPs and seconds, of one device."""
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
    'tried': [
      {'batch_size': size, 'fits': fits, 'bytes': used}
      for size, (fits, used) in sorted(plan.tried.items())
    ],
    'largest_batch': plan.largest,
    'smallest_that_does_not_fit': plan.bound,
    'verdict': verdict(plan),
  }


def _step_json(plan: Plan, step: Compiled) -> dict[str, Any]:
  count = len(plan.topology.devices)
  result = {
    'fits': step.fits,
    'wanted_bytes': step.used,
    'limit_bytes': step.limit,
    'compile_seconds': step.seconds,
    'flops': {
      'matrix': {name: flops / count for name, flops in step.work.matrix.items()},
      'vector': step.work.vector / count,
    },
  }
  if step.memory is None:
    return result
  times = roofline.times(step, plan.topology)
  collectives = [
    {**one._asdict(), 'groups': list(one.groups.shape)} for one in step.costs.collectives
  ]
  return {
    **result,
    'memory_bytes': step.memory._asdict(),
    'traffic_bytes': step.costs.traffic,
    'gathered_values': step.costs.gathered,
    'collectives': collectives,
    'unknown_loops': step.costs.unknown_loops + step.work.unknown_loops,
    'seconds': times._asdict(),
    'roofline_seconds': times.roofline,
    'bound': times.bound,
    'matrix_share': times.matrix / times.roofline,
  }


def show(plan: Plan, console: Console) -> None:
  """Prints the tables and, last, the verdict."""
  chip, count = plan.topology.chip, len(plan.topology.devices)
  fsdp = plan.config.parallel.fsdp
  console.print(
    f'{plan.config.task}, batch {plan.config.batch_size} on {count} x {chip.name} '
    f'({chip.hbm / 2**30:.0f} GiB each): data {count // fsdp} x fsdp {fsdp}, '
    f'state {_size(plan.state_bytes)} a device'
  )
  if not plan.topology.exact:
    console.print(
      'ESTIMATES: no compiler of this chip is at hand; memory, traffic and collectives are those '
      'of the program as compiled for as many devices of this processor.'
    )
  steps = {'train step': plan.train, 'evaluation step': plan.evaluate}
  console.print(_memory(steps))
  known = {name: step for name, step in steps.items() if step.memory}
  if known:
    console.print(_times(plan, known))
  if plan.train.memory:
    console.print(_collectives(plan.train))
  if plan.tried:
    console.print(_search(plan))
  console.print(verdict(plan), style='bold')


def verdict(plan: Plan) -> str:
  """Whether it fits, what bounds it, and the largest batch, in two or three sentences."""
  train, evaluate, chip = plan.train, plan.evaluate, plan.topology.chip
  given = '' if train.limit == chip.hbm else f', of which {_size(train.limit)} are to be had'
  there = f'{_size(chip.hbm)}{given}'
  if not train.fits:
    text = f'DOES NOT FIT: the train step wants {_size(train.used)} of {there}.'
  elif not evaluate.fits:
    text = f'DOES NOT FIT: the evaluation step wants {_size(evaluate.used)} of {there}.'
  else:
    times = roofline.times(train, plan.topology)
    text = (
      f'FITS: {_size(train.used)} of {there}. At least {_time(times.roofline)} a step, '
      f'bound by {times.bound}: at most {plan.config.batch_size / times.roofline:,.0f} examples/s.'
    )
    if chip.platform == 'tpu' and train.costs.gathered > _GATHERS:
      text += (
        f' {train.costs.gathered / 1e6:,.0f} million values are gathered one by one, which is slow '
        'on a TPU and in none of these times.'
      )
  return f'{text} {_largest(plan)}' if plan.tried else text


def _largest(plan: Plan) -> str:
  if plan.largest is None:
    return (
      f'No batch that was tried fits, down to {plan.bound}; try microbatches, model.remat, '
      'model.dtype=bfloat16, or more devices.'
    )
  if plan.bound is None:
    return f'The largest batch tried, {plan.largest}, fits: the limit is above it.'
  how = ', compiled quickly,' if plan.topology.exact else ''
  return f'The largest batch known to fit is {plan.largest}; {plan.bound}{how} does not.'


def _memory(steps: dict[str, Compiled]) -> Table:
  table = _table('memory of one device', '', *steps)
  rows = {
    'state and batch': lambda m: m.arguments,
    'batches sent ahead': lambda m: m.ahead,
    'results beside them': lambda m: m.outputs,
    'temporaries': lambda m: m.temporaries,
    'program': lambda m: m.code,
  }
  for name, of in rows.items():
    table.add_row(name, *(_size(of(s.memory)) if s.memory else '?' for s in steps.values()))
  table.add_row('wanted', *(_size(step.used) for step in steps.values()))
  table.add_row('of what there is', *(f'{step.used / step.limit:.0%}' for step in steps.values()))
  table.add_row('compiled in', *(f'{step.seconds:.0f} s' for step in steps.values()))
  return table


def _times(plan: Plan, steps: dict[str, Compiled]) -> Table:
  """One row a resource: how much of it a device needs, and for how long."""
  table = _table('a step at peak rates', 'one device', *steps)
  count = len(plan.topology.devices)
  times = {name: roofline.times(step, plan.topology) for name, step in steps.items()}
  matrix = {n: sum(s.work.matrix.values()) / count for n, s in steps.items()}
  rows = {
    'matrix': ('matrix units', lambda n, s: f'{matrix[n] / 1e9:,.1f} GFLOP'),
    'vector': ('vector units', lambda n, s: f'{s.work.vector / count / 1e9:,.1f} Gop'),
    'memory': ('memory', lambda n, s: _size(s.costs.traffic)),
    'links': ('links between chips', lambda n, s: _size(roofline.sent(s, plan.topology)[0])),
    'network': ('network', lambda n, s: _size(roofline.sent(s, plan.topology)[1])),
  }
  for field, (name, amount) in rows.items():
    cells = [f'{amount(n, s)}, {_time(getattr(times[n], field))}' for n, s in steps.items()]
    table.add_row(name, *cells)
  table.add_row('roofline', *(f'{_time(t.roofline)}, {t.bound}' for t in times.values()))
  table.add_row('one after another', *(_time(t.serial) for t in times.values()))
  if all(t.compiler for t in times.values()):
    table.add_row("the compiler's estimate *", *(_time(t.compiler) for t in times.values()))
  table.add_row('values gathered', *(f'{s.costs.gathered / 1e6:,.1f} M' for s in steps.values()))
  unknown = sum(s.costs.unknown_loops + s.work.unknown_loops for s in steps.values())
  table.caption = '* Without collectives. Gathers have no published rate: no time here has them.'
  if unknown:
    table.caption += f' {unknown} loops of unknown length count as one turn.'
  return table


def _collectives(step: Compiled) -> Table:
  """Alike ones together, the largest totals first."""
  alike: dict[tuple, list[Collective]] = collections.defaultdict(list)
  for one in step.costs.collectives:
    alike[one.kind, one.groups.shape, one.size].append(one)
  rows = sorted(alike.items(), key=lambda item: -sum(one.size * one.times for one in item[1]))
  total = sum(one.times for one in step.costs.collectives)
  title = f'collectives of the train step: {total}'
  table = _table(title, 'kind', 'among', 'bytes each', 'times', 'such as in')
  for (kind, groups, size), these in rows[:_SHOWN]:
    scope = these[0].scope.rpartition('jit(train_step)/')[2]
    times = f'{sum(one.times for one in these)}'
    table.add_row(kind, f'{groups[0]} x {groups[1]}', _size(size), times, _end(scope))
  rest = [one for _, these in rows[_SHOWN:] for one in these]
  if rest:
    size = sum(one.size * one.times for one in rest)
    table.add_row('smaller ones', '', f'{_size(size)} in all', f'{sum(o.times for o in rest)}', '')
  return table


def _search(plan: Plan) -> Table:
  how = 'batches, compiled quickly: it saves time, and costs memory'
  table = _table(how if plan.topology.exact else 'batches', 'batch', 'wants', 'fits')
  for size, (fits, used) in sorted(plan.tried.items()):
    table.add_row(str(size), _size(used), 'yes' if fits else 'no')
  return table


def _end(scope: str, length: int = 48) -> str:
  """The innermost parts of a scope, which say the most."""
  return scope if len(scope) <= length else f'...{scope[3 - length :]}'


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
