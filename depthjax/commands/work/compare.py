"""`depthjax compare`: a table of runs in the terminal; a page with all metrics and curves."""

import collections
import math
import pathlib
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from depthjax.commands import runner
from depthjax.commands.compare import Options
from depthjax.configuring import ConfigError
from depthjax.files import atomic, plots
from depthjax.files.errors import InputError
from depthjax.files.report import Report
from depthjax.study import groups as groups_lib
from depthjax.study.groups import Group, Line, Run

_SHOWN = 6  # Metrics in the terminal.
_FIELDS = 4  # If more fields differ, they are in one column.
_WIDEST = 60  # Characters of a column in the terminal.


def run(options: Options) -> None:
  """Compares the runs that can be read.

  Raises ConfigError at the end: some could not.
  """
  atomic.check_output(options.output, ('.html',))
  runs, failed = _read(options.runs)
  if runs:
    groups = groups_lib.group(runs)
    names = groups_lib.differing(groups) or ['task']
    metrics = groups_lib.metric_names([group.metrics() for group in groups])
    _print(groups, names, metrics)
    _report(groups, names, metrics).write(options.output)
    print(f'all metrics and curves: {options.output}')
  if failed or not runs:
    raise ConfigError(f'{failed} of {len(runs) + failed} folders have no readable run')


def _read(paths: Sequence[pathlib.Path]) -> tuple[list[Run], int]:
  """The runs, and the number of folders that have none; files, as in runs/*, are not considered."""
  runs, failed = [], 0
  for folder in (x for path in paths if not path.is_file() for x in groups_lib.folders(path)):
    try:
      runs.append(groups_lib.read(folder))
    except InputError as error:
      runner.say(str(error))
      failed += 1
  return runs, failed


def _print(groups: Sequence[Group], names: Sequence[str], metrics: Sequence[str]) -> None:
  head, body = _cells(groups, names, metrics[:_SHOWN])
  table = Table()
  for title in head:
    left = title not in ('seeds', 'steps', *metrics)
    table.add_column(title, justify='left' if left else 'right', max_width=_WIDEST)
  for row in body:
    table.add_row(*row)
  console = Console(markup=False)
  # A table wider than the terminal wraps its lines instead of truncating numbers.
  wanted = console.measure(table, options=console.options.update(max_width=1000)).maximum
  console.width = max(console.width, wanted)
  console.print(table)
  if len(metrics) > _SHOWN:
    print(f'{len(metrics) - _SHOWN} more metrics are in the page')


def _cells(
  groups: Sequence[Group], names: Sequence[str], metrics: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
  """Headings and rows of text: fields, seeds, steps, metrics."""
  body = []
  for group in groups:
    steps, values = group.runs[0].steps, group.metrics()
    body.append(
      ([_text(group, name) for name in names] if len(names) <= _FIELDS else [_label(group, names)])
      + [_part(len(group.evaluated), len(group.runs)), _part(group.step, steps)]
      + [_mean(values.get(metric, [])) for metric in metrics]
    )
  fields = _short(names) if len(names) <= _FIELDS else ['config']
  return [*fields, 'seeds', 'steps', *metrics], body


def _label(group: Group, names: Sequence[str]) -> str:
  texts = (f'{x}={_text(group, name)}' for x, name in zip(_short(names), names, strict=True))
  return ', '.join(texts)


def _part(count: int, total: int) -> str:
  return f'{count}' if count == total else f'{count} of {total}'


def _mean(values: Sequence[float]) -> str:
  """Mean ± standard deviation."""
  if not values or math.isnan(mean := statistics.fmean(values)):
    return '–'
  return f'{mean:#.4g} ± {statistics.stdev(values):.2g}' if len(values) > 1 else f'{mean:#.4g}'


def _text(group: Group, name: str) -> str:
  value = group.fields.get(name)
  return '–' if value is None else str(tuple(value) if isinstance(value, list) else value)


def _short(names: Sequence[str]) -> list[str]:
  """The last parts of dotted names, where they are unique."""
  last = [name.rpartition('.')[2] for name in names]
  count = collections.Counter(last)
  return [x if count[x] == 1 else name for x, name in zip(last, names, strict=True)]


def _report(groups: Sequence[Group], names: Sequence[str], metrics: Sequence[str]) -> Report:
  count = sum(len(group.runs) for group in groups)
  report = Report('Comparison of runs', f'{count} runs, {len(groups)} configs')
  head, body = _cells(groups, names, metrics)
  report.table(body, head)
  report.paragraph(
    'Metrics of the split val at the last evaluation: mean ± sample standard deviation over seeds.'
    ' Of unfinished runs, "seeds" counts those that were evaluated at the step in "steps".'
  )
  labels = [_label(group, names) for group in groups]
  report.heading('Training loss')
  report.figure(_plot(groups, labels, 'train', 'loss'), 'One line per seed.')
  report.heading('Metrics')
  report.comparison(
    [(_plot(groups, labels, 'evals', name), name) for name in metrics], 'Colours as above.'
  )
  return report


def _plot(groups: Sequence[Group], labels: Sequence[str], lines: str, name: str) -> bytes:
  """The curves of one scalar, of all runs."""
  series = [
    (label, [_points(getattr(run, lines), name) for run in group.runs])
    for label, group in zip(labels, groups, strict=True)
  ]
  if lines == 'train':
    return plots.curve(series, x_label='step', y_label=name)
  options = {'size': (3, 2), 'logarithmic': False, 'legend': False}
  return plots.curve(series, x_label='step', y_label='', **options)


def _points(lines: Sequence[Line], name: str) -> tuple[list[int], list[float]]:
  return [line['step'] for line in lines], [groups_lib.number(line, name) for line in lines]
