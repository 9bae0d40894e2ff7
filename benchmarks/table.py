"""Shared by the benchmarks: facts of the machine, interleaved timing, tables and JSON."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import runpy
import statistics
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections

from depthjax import configuring

ROOT = pathlib.Path(__file__).parents[1]
_PACKAGES = ('jax', 'jaxlib', 'numpy', 'opencv-python-headless', 'grain')

Row = dict[str, Any]


class Spread(NamedTuple):
  """A number measured in several rounds: median, minimum and maximum."""

  median: float
  low: float
  high: float

  def __str__(self) -> str:
    return f'{_number(self.median)} [{_number(self.low)}, {_number(self.high)}]'


def spread(values: Iterable[float]) -> Spread:
  """Median, minimum and maximum over the rounds."""
  values = list(values)
  return Spread(statistics.median(values), min(values), max(values))


def ratio(these: Sequence[float], those: Sequence[float]) -> Spread:
  """The spread of a ratio within each round, so that slow rounds cancel."""
  return spread(a / b for a, b in zip(these, those, strict=True))


def timed(function: Callable[[], Any]) -> Callable[[], float]:
  """A measure: seconds until the arrays of the function are ready."""

  def measure() -> float:
    begin = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - begin

  return measure


def interleaved(
  measures: dict[str, Callable[[], float]], repeats: int, *, warm: bool = True
) -> dict[str, list[float]]:
  """Results of all measures in each round, in alternating order from round to round.

  Args:
    repeats: rounds.
    warm: whether a first round does not count: it compiles, and fills caches.
  """
  names = list(measures)
  results = {name: [] for name in names}
  for number in range(-1 if warm else 0, repeats):
    for name in names if number % 2 else reversed(names):
      value = measures[name]()
      if number >= 0:
        results[name].append(value)
  return results


class Report:
  """Prints tables as they are added, and saves them."""

  def __init__(self):
    self.facts = facts()
    self.tables = {}
    print('\n'.join(f'{name + ":":10} {value}' for name, value in self.facts.items()))

  def table(self, title: str, rows: Sequence[Row], *notes: str) -> None:
    """Prints a table, with the columns of the first row, and notes below it."""
    self.tables[title] = list(rows)
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f'\n{title}')
    for line in lines:
      print('  ' + '  '.join(map(str.ljust, line, widths)).rstrip())
    for note in notes:
      print(textwrap.fill(note, 98, initial_indent='  ', subsequent_indent='  '), flush=True)

  def save(self, file: pathlib.Path | None) -> None:
    """Writes facts and tables as JSON; a spread is [median, minimum, maximum]."""
    if file:
      text = json.dumps({'facts': self.facts, 'tables': self.tables}, indent=2)
      file.write_text(text + '\n', encoding='utf-8')


def facts() -> dict[str, str]:
  """The machine and the versions of packages. Initialises the device."""
  devices = jax.devices()
  versions = [f'{name} {importlib.metadata.version(name)}' for name in _PACKAGES]
  return {
    'device': f'{len(devices)} x {devices[0].device_kind} ({devices[0].platform})',
    'CPU': f'{_cpu()}, {cores()} cores',
    'load': ' '.join(f'{load:.1f}' for load in os.getloadavg()) + '  (load adds noise)',
    'versions': ', '.join([f'python {platform.python_version()}', *versions]),
  }


def cores() -> int:
  """CPU cores available to this process."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def config_of(text: str) -> ml_collections.ConfigDict:
  """The config `file.py:argument`; the file is relative to here or to the repository."""
  name, _, argument = text.partition(':')
  file = next((path for path in (pathlib.Path(name), ROOT / name) if path.is_file()), None)
  if file is None:
    raise argparse.ArgumentTypeError(f'{name}: no such config file')
  try:
    return runpy.run_path(str(file))['get_config'](argument)
  except configuring.ConfigError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def _cpu() -> str:
  file = pathlib.Path('/proc/cpuinfo')
  lines = file.read_text(encoding='utf-8').splitlines() if file.is_file() else []
  names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
  return names[0] if names else platform.processor() or platform.machine()


def _cell(value: Any) -> str:
  return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
  return f'{value:.3g}' if abs(value) < 999.5 else f'{value:,.0f}'
