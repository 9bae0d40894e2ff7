"""The input pipeline: scenes per second by stage, by encoding, and by number of workers.

python benchmarks/input.py [--config configs/lensblur.py:small --json input.json]
"""

import argparse
import collections
import contextlib
import functools
import pathlib
import tempfile
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import ml_collections
import records
import table

from depthjax.data import pipeline, splits
from depthjax.data.errors import silhouettes
from depthjax.data.scenes import draw, objects, painting

STAGES = {
  'silhouettes': (objects, 'draw_objects'),
  'painting': (painting, 'paint_layers'),
  'planes': (draw, 'draw_planes'),
  'corruption': (silhouettes, 'corrupt'),
}


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  for size in args.sizes or (args.config.data.height, 320):
    config = resized(args.config, size)
    stages(report, config, args)
    if args.prepared:
      records.encodings(report, config, args)
    if args.batches:
      with tempfile.TemporaryDirectory() as folder:
        streams(report, config, args, pathlib.Path(folder))
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  every = sorted({0, 1, 2, table.cores()})
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--config', type=table.config_of, default='configs/lensblur.py:small')
  result.add_argument('--sizes', type=int, nargs='+', help="default: the config's own and 320")
  result.add_argument('--scenes', type=int, default=30, help='drawn per round to time the stages')
  result.add_argument('--batches', type=int, default=12, help='read per round; 0 skips it')
  result.add_argument('--prepared', type=int, default=64, help='scenes prepared; 0 skips it')
  result.add_argument('--workers', type=int, nargs='+', default=every, help='numbers of processes')
  result.add_argument('--threads', type=int, nargs='+', default=[1, 2], help='used without workers')
  result.add_argument('--repeats', type=int, default=2)
  result.add_argument('--json', type=pathlib.Path)
  return result


def resized(config: ml_collections.ConfigDict, size: int) -> ml_collections.ConfigDict:
  config = config.copy_and_resolve_references()
  config.data.height = config.data.width = size
  return config


def stages(report: table.Report, config: ml_collections.ConfigDict, args) -> None:
  """Draws scenes on one core and prints the time of each stage."""
  ds = _dataset(config, batch_size=1)
  rounds = []
  for number in range(-1, args.repeats):  # The first round decodes the photographs.
    seconds = stage_seconds(ds, args.scenes)
    if number >= 0:
      rounds.append(seconds)
  total = [seconds['total'] for seconds in rounds]
  rows = []
  for name in (*STAGES, 'rest', 'total'):
    each = [seconds[name] for seconds in rounds]
    rows.append(
      {
        'stage': name,
        'fraction of the total': table.ratio(each, total),
        'ms per scene': table.spread(1e3 * s / args.scenes for s in each),
        'scenes/s per core': table.spread(args.scenes / s for s in each),
      }
    )
  title = f'drawing: {config.data.layers} layers, {config.data.height}x{config.data.width}'
  note = 'rest: lens, hard silhouettes, grain. Photographs are in memory, as after the first epoch.'
  report.table(title, rows, note)


def stage_seconds(ds: Any, count: int) -> dict[str, float]:
  """Seconds of each stage for the first `count` scenes, of the rest, and in total."""
  seconds = collections.Counter()
  with contextlib.ExitStack() as stack:
    for name, (module, function) in STAGES.items():
      clocked = _clocked(getattr(module, function), seconds, name)
      stack.enter_context(mock.patch.object(module, function, clocked))
    begin = time.perf_counter()
    for index in range(count):
      ds[index]
    total = time.perf_counter() - begin
  return {**seconds, 'rest': total - seconds.total(), 'total': total}


def _clocked(function: Callable, seconds: collections.Counter, name: str) -> Callable:
  @functools.wraps(function)
  def clocked(*args, **kwargs):
    begin = time.perf_counter()
    result = function(*args, **kwargs)
    seconds[name] += time.perf_counter() - begin
    return result

  return clocked


def streams(
  report: table.Report, config: ml_collections.ConfigDict, args, folder: pathlib.Path
) -> None:
  """Reads batches with each number of workers or threads; prints rates over one core drawing."""
  ds = {'drawn': _dataset(config)}
  if args.prepared:
    where = records.prepare(config, folder, args.prepared)
    ds['prepared'] = _dataset(config, scene_source=where)
  pairs = [(0, threads) for threads in args.threads if 0 in args.workers]
  pairs += [(workers, config.input.threads) for workers in args.workers if workers]
  readers = {(kind, _readers(*pair)): pair for pair in pairs for kind in ds}
  startups = collections.defaultdict(list)

  def one_core() -> float:
    begin = time.perf_counter()
    for index in range(-(-args.batches // 4)):
      ds['drawn'][index]
    return (time.perf_counter() - begin) / -(-args.batches // 4)

  def read(name: tuple[str, str]) -> float:
    first, seconds = _read(ds[name[0]], *readers[name], args.batches)
    startups[name].append(first)
    return seconds / args.batches

  measures = {'one core': one_core, **{name: functools.partial(read, name) for name in readers}}
  times = table.interleaved(measures, args.repeats, warm=False)
  rows = [
    {
      'readers': name[1],
      'scenes': name[0],
      'rate / drawing on one core': table.ratio(times['one core'], times[name]),
      'rate / drawn by the same readers': table.ratio(times['drawn', name[1]], times[name]),
      'scenes/s': table.spread(config.batch_size / s for s in times[name]),
      'seconds to the first batch': table.spread(startups[name]),
    }
    for name in readers
  ]
  title = f'reading: batches of {config.batch_size}, {config.data.height}x{config.data.width}'
  count = args.batches * config.batch_size
  report.table(title, rows, f'{count} scenes per round on {table.cores()} cores; no device.')


def _read(ds: Any, workers: int, threads: int, batches: int) -> tuple[float, float]:
  """Seconds until the first batch, and for `batches` more after those read ahead are consumed."""
  begin = time.perf_counter()
  with contextlib.closing(pipeline.stream(ds, workers=workers, threads=threads)) as stream:
    next(stream)
    first = time.perf_counter() - begin
    for _ in range(2 * threads + 4 * workers):
      next(stream)
    begin = time.perf_counter()
    for _ in range(batches):
      next(stream)
    return first, time.perf_counter() - begin


def _readers(workers: int, threads: int) -> str:
  threads = f'{threads} thread' + 's' * (threads > 1)
  return f'{workers} worker{"s" * (workers > 1)} of {threads}' if workers else threads


def _dataset(config: ml_collections.ConfigDict, batch_size: int = 0, scene_source: str = '') -> Any:
  fields = {**config.data.to_dict(), 'scene_source': scene_source}
  size = batch_size or config.batch_size
  return splits.batches(fields, 'train', seed=config.seed, batch_size=size)


if __name__ == '__main__':
  main()
