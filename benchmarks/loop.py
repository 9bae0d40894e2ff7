"""The train loop: time that a step waits for its batch, and time lost between steps.

python benchmarks/loop.py [--config configs/lensblur.py:small --steps 20 --json loop.json]
"""

import argparse
import collections
import contextlib
import functools
import gc
import itertools
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import table

from depthjax.train import experiment as experiment_lib

TARGET = 0.02  # Largest fraction of a step spent waiting, with one worker per core.
_FIXED = 'one batch, on the device'
_TRANSFERS = {'transferred on demand': False, 'transferred ahead': True}


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  training(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  every = sorted({0, 1, 2, table.cores()})
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--config', type=table.config_of, default='configs/lensblur.py:small')
  result.add_argument('--workers', type=int, nargs='+', default=every, help='numbers of processes')
  result.add_argument('--steps', type=int, default=20, help='trained per round')
  result.add_argument('--repeats', type=int, default=3)
  result.add_argument('--json', type=pathlib.Path)
  return result


def training(report: table.Report, args: argparse.Namespace) -> None:
  """Trains with one batch that stays on the device, and with drawn batches for each input."""
  config = args.config
  experiment = experiment_lib.build(config)
  held = [experiment.runner.init(experiment_lib.seed_key(0))]
  kept = experiment.runner.put(next(experiment.batches('train', 0)))
  frozen = experiment.frozen()
  hyper = experiment.runner.replicate(experiment.hyper)
  compiled = experiment.runner.step.lower(held[0], frozen, hyper, kept).compile()
  step = lambda state, batch: compiled(state, frozen, hyper, batch)  # noqa: E731
  waits = collections.defaultdict(list)

  def drawn(name: str, workers: int, ahead: bool) -> float:
    config.input.workers = workers  # The batches of the experiment follow its config.
    with contextlib.closing(_batches(experiment, ahead)) as batches:
      seconds, waited = _train(step, held, batches, args.steps)
    waits[name].append(waited / seconds)
    gc.collect()  # Frees the shared memory of the workers' batches.
    return seconds

  measures = {_FIXED: lambda: _train(step, held, itertools.repeat(kept), args.steps)[0]}
  workers = {}
  for count, (how, ahead) in itertools.product(args.workers, _TRANSFERS.items()):
    name = f'{_readers(count, config.input.threads)}, {how}'
    measures[name], workers[name] = functools.partial(drawn, name, count, ahead), count
  times = table.interleaved(measures, args.repeats, warm=False)
  rows = [_row(name, times, waits.get(name), workers.get(name), args.steps) for name in measures]
  report.table(
    f'{args.steps} steps, batch {config.batch_size}, {config.data.height}x{config.data.width}',
    rows,
    'Waiting: for the next batch, on the device. Gap: extra time of a step over one with the fixed '
    f'batch. The target is at most {TARGET:.0%} waiting with one worker per core. If the device is '
    'the CPU, drawing also slows the step, which the gap shows.',
  )


def _batches(experiment: experiment_lib.Experiment, ahead: bool) -> Iterator[Any]:
  """Batches on the device: transferred ahead as in the train loop, or when the step needs them."""
  if ahead:
    yield from _closing(experiment.feed(0))
  else:
    yield from map(experiment.runner.put, _closing(experiment.batches('train', 0)))


def _closing(stream: Any) -> Iterator[Any]:
  with contextlib.closing(stream):
    yield from stream


def _train(
  step: Callable, held: list, batches: Iterator, steps: int, warm: int = 2
) -> tuple[float, float]:
  """Trains as the loop does, one step in flight; returns seconds and seconds spent waiting."""
  pending, waited, begin = None, 0.0, time.perf_counter()
  for number in range(warm + steps):
    if number == warm:
      jax.block_until_ready(pending)
      waited, begin = 0.0, time.perf_counter()
    asked = time.perf_counter()
    batch = next(batches)
    waited += time.perf_counter() - asked
    held[0], scalars = step(held[0], batch)
    jax.block_until_ready(pending)
    pending = scalars
  jax.block_until_ready(pending)
  return time.perf_counter() - begin, waited


def _row(
  name: str,
  times: dict[str, list[float]],
  waits: list[float] | None,
  workers: int | None,
  steps: int,
) -> table.Row:
  these, base = times[name], times[_FIXED]
  wait = table.spread(waits) if waits else ''
  judged = wait and workers == table.cores()
  return {
    'input': name,
    'time / one batch': table.ratio(these, base),
    'ms per step': table.spread(1e3 * seconds / steps for seconds in these),
    'gap, ms': table.spread(1e3 * (a - b) / steps for a, b in zip(these, base, strict=True)),
    'waiting, fraction of time': wait,
    'target': ('met' if wait.median <= TARGET else 'missed') if judged else '',
  }


def _readers(workers: int, threads: int) -> str:
  threads = f'{threads} thread' + 's' * (threads > 1)
  return f'{workers} worker{"s" * (workers > 1)} of {threads}' if workers else threads


if __name__ == '__main__':
  main()
