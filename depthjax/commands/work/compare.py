"""`depthjax compare`: a table of runs in the terminal; a page with all metrics and curves."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from depthjax.commands import runner
from depthjax.commands.compare import Options
from depthjax.commands.work import tables
from depthjax.configuring import ConfigError
from depthjax.files import atomic, plots
from depthjax.files.errors import InputError
from depthjax.files.report import Report
from depthjax.study import groups as groups_lib
from depthjax.study.groups import Group, Run

_SHOWN = 6  # Metrics in the terminal.
_FIELDS = 4  # If more fields differ, they are in one column.


def run(options: Options) -> None:
  """Compares the runs that can be read; raises ConfigError at the end if some could not."""
  atomic.check_output(options.output, ('.html',))
  runs, failed = _read(options.runs)
  if runs:
    groups = groups_lib.group(runs)
    names = groups_lib.differing(groups) or ['task']
    metrics = groups_lib.metrics(groups)
    tables.show(*_cells(groups, names, metrics[:_SHOWN]))
    if len(metrics) > _SHOWN:
      print(f'{len(metrics) - _SHOWN} more metrics are in the page')
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


def _cells(
  groups: Sequence[Group], names: Sequence[str], metrics: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
  """Headings and rows of text: fields, seeds, steps, metrics."""
  body, few = [], len(names) <= _FIELDS
  for group in groups:
    fields = [_text(group, name) for name in names] if few else [_label(group, names)]
    lines = group.evaluated
    seeds, steps = _part(len(lines), len(group.runs)), _part(group.step, group.runs[0].steps)
    means = [_mean([line[name] for line in lines if name in line]) for name in metrics]
    body.append([*fields, seeds, steps, *means])
  return [*(names if few else ['config']), 'seeds', 'steps', *metrics], body


def _label(group: Group, names: Sequence[str]) -> str:
  return ', '.join(f'{name}={_text(group, name)}' for name in names)


def _part(count: int, total: int) -> str:
  return f'{count}' if count == total else f'{count} of {total}'


def _mean(values: Sequence[float]) -> str:
  """Mean ± standard deviation."""
  if not values:
    return '–'
  error = f' ± {np.std(values, ddof=1):.2g}' if len(values) > 1 else ''
  return f'{np.mean(values):#.4g}{error}'


def _text(group: Group, name: str) -> str:
  value = group.fields.get(name)
  return '–' if value is None else str(tuple(value) if isinstance(value, list) else value)


def _report(groups: Sequence[Group], names: Sequence[str], metrics: Sequence[str]) -> Report:
  count = sum(len(group.runs) for group in groups)
  report = Report('Comparison of runs', f'{count} runs, {len(groups)} configs')
  head, body = _cells(groups, names, metrics)
  report.table(body, head)
  text = 'Metrics of the split val at the last evaluation: mean ± standard deviation over seeds.'
  report.paragraph(text)
  labels = [_label(group, names) for group in groups]
  report.heading('Training loss')
  report.figure(_plot(groups, labels, 'train', 'loss'), 'One line per seed.')
  report.heading('Metrics')
  plotted = [(_plot(groups, labels, 'evals', name), name) for name in metrics]
  report.comparison(plotted, 'Colours as above.')
  return report


def _plot(groups: Sequence[Group], labels: Sequence[str], kind: str, name: str) -> bytes:
  """The curves of one scalar, of all runs; `kind` is 'train' or 'evals'."""
  series = []
  for label, group in zip(labels, groups, strict=True):
    logs = [getattr(run, kind) for run in group.runs]
    curves = [([x['step'] for x in log], [x.get(name, math.nan) for x in log]) for log in logs]
    series.append((label, curves))
  small = kind == 'evals'
  return plots.curve(series, x_label='step', y_label='' if small else name, small=small)
