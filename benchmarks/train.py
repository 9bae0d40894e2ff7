"""The train step: time of its parts, fraction of the matmul rate, memory and compile time.

python benchmarks/train.py [--config configs/lensblur.py:small --dtype bfloat16 --json train.json]
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import table

from depthjax.plan import work
from depthjax.tasks.task import Task
from depthjax.train import experiment as experiment_lib
from depthjax.train import optimizer
from depthjax.train import step as step_lib


def main(argv: list[str] | None = None) -> table.Report | None:
  argv = sys.argv[1:] if argv is None else argv
  args = parser().parse_args(argv)
  config = configured(args)
  if args.compile_only:
    print(json.dumps(compile_seconds(config)))
    return None
  with tempfile.TemporaryDirectory() as cache:
    # Before this process uses the device, since some devices allow only one process.
    compiled = [] if args.no_compiling else [_fresh(argv, cache) for _ in ('cold', 'warm')]
  report = table.Report()
  training(report, config, args)
  if compiled:
    compiling(report, *compiled)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--config', type=table.config_of, default='configs/lensblur.py:small')
  result.add_argument('--size', type=int, help='height and width of the scenes')
  result.add_argument('--batch', type=int, help='global batch size')
  result.add_argument('--dtype', choices=['float32', 'bfloat16'], help='dtype of the model')
  result.add_argument('--matmul', type=int, help='size of the matrices that measure the rate')
  result.add_argument('--repeats', type=int, default=10)
  result.add_argument('--no-compiling', action='store_true', help='skips compile times')
  result.add_argument('--compile-only', action='store_true', help=argparse.SUPPRESS)
  result.add_argument('--json', type=pathlib.Path)
  return result


def configured(args: argparse.Namespace) -> ml_collections.ConfigDict:
  config = args.config.copy_and_resolve_references()
  config.parallel.mode = 'jit'
  if args.size:
    config.data.height = config.data.width = args.size
  if args.batch:
    config.batch_size = config.eval.examples = args.batch
  if args.dtype:
    config.model.dtype = args.dtype
  return config


class Program:
  """A jitted function, compiled for its arguments and called with them.

  With `donates` the first argument is donated and replaced by the first result. `flops` are those
  of convolutions and matrix products.
  """

  def __init__(self, function: Any, *arguments: Any, donates: bool = False):
    traced = function.trace(*arguments)
    self.compiled = traced.lower().compile()
    self._arguments, self._donates = list(arguments), donates
    self.flops = sum(work.work(traced.jaxpr).matrix.values())

  def __call__(self) -> Any:
    result = self.compiled(*self._arguments)
    if self._donates:
      self._arguments[0], result = result
    return result


def training(
  report: table.Report, config: ml_collections.ConfigDict, args: argparse.Namespace
) -> None:
  """Times the step and its parts, interleaved with a matrix product; prints FLOPs and memory."""
  experiment = experiment_lib.build(config)

  def state():
    return experiment.runner.init(experiment_lib.seed_key(0))

  batch = experiment.runner.put(next(experiment.batches('train', 0)))
  frozen = experiment.frozen()
  hyper = experiment.runner.replicate(experiment.hyper)
  step = Program(experiment.runner.step, state(), frozen, hyper, batch, donates=True)
  jax.block_until_ready(step())
  used = jax.devices()[0].memory_stats()
  render = Program(jax.jit(experiment.task.inputs), frozen, batch)
  inputs = render()
  loss = jax.jit(functools.partial(_loss, experiment.task))
  forward = Program(loss, state(), frozen, inputs)
  updating = _update(experiment.task, config)
  update = Program(updating, state(), frozen, hyper, inputs, donates=True)
  products = _products(config.model.dtype, args.matmul)
  programs = {'step': step, 'render': render, 'forward': forward, 'update': update, **products}
  measures = {name: table.timed(program) for name, program in programs.items()}
  times = table.interleaved(measures, args.repeats)
  rates = {name: [product.flops / s for s in times[name]] for name, product in products.items()}
  size = f'{config.data.height}x{config.data.width}'
  report.table(
    f'step of {config.task}: batch {config.batch_size}, {size}, {config.model.dtype}',
    _parts(times, programs, rates[config.model.dtype]),
    'The parts run separately; the step may fuse work across them. Backward and update: time of a '
    'step without rendering minus forward. FLOPs are those of convolutions and matrix products, '
    'counted in the jaxpr.',
  )
  report.table(
    'matrix products on this device at the default precision', _rate_rows(products, rates)
  )
  report.table('memory of the step, as compiled', _memory(step.compiled, state(), used))


def _parts(
  times: dict[str, list[float]], programs: dict[str, Program], rate: Sequence[float]
) -> list[table.Row]:
  backward = [b - a for a, b in zip(times['forward'], times['update'], strict=True)]
  times = {**times, 'backward': backward}
  flops = {name: program.flops for name, program in programs.items()}
  parts = {
    'step': ('step', flops['update']),
    'render the batch': ('render', 0.0),
    'forward, with the losses': ('forward', flops['forward']),
    'backward and update': ('backward', flops['update'] - flops['forward']),
  }
  return [
    {
      'part': name,
      'fraction of the step': table.ratio(times[key], times['step']),
      'ms': table.spread(1e3 * seconds for seconds in times[key]),
      'GFLOP': count / 1e9 if count else '',
      'fraction of the matmul rate': table.ratio([count / s for s in times[key]], rate)
      if count
      else '',
    }
    for name, (key, count) in parts.items()
  ]


def _rate_rows(products: dict[str, Program], rates: dict[str, list[float]]) -> list[table.Row]:
  return [
    {
      'dtype': name,
      'rate / float32': table.ratio(rates[name], rates['float32']),
      'GFLOP/s': table.spread(rate / 1e9 for rate in rates[name]),
    }
    for name in products
  ]


def _loss(task: Task, state: Any, frozen: Any, inputs: Any) -> jax.Array:
  key = jax.random.wrap_key_data(state.key)
  variables = {'params': state.params, **state.model_state}
  terms, _ = task.loss(variables, frozen, inputs, key, state.step)
  return sum(jnp.mean(term) for term in terms.values())


def _update(task: Task, config: ml_collections.ConfigDict) -> Any:
  """The train step without rendering; it takes the result of `task.inputs`."""
  rendered = task._replace(inputs=lambda frozen, inputs: inputs)
  trained = functools.partial(
    optimizer.trained, learning_rate_factors=config.optimizer.learning_rate_factors
  )
  grads = functools.partial(step_lib.gradients, task=rendered, trained=trained)
  step = functools.partial(
    step_lib.train_step,
    gradients=step_lib.accumulate(grads, config.microbatches),
    optimizer=functools.partial(optimizer.make, config.optimizer),
  )
  return jax.jit(step, donate_argnums=0)


def _products(dtype: str, side: int | None) -> dict[str, Program]:
  """Square matrix products in float32 and in the dtype of the model."""
  side = side or (2048 if jax.default_backend() == 'cpu' else 8192)
  names = dict.fromkeys(('float32', dtype))
  return {name: Program(jax.jit(jnp.dot), *[jnp.ones((side, side), name)] * 2) for name in names}


def _memory(compiled: Any, state: Any, used: dict[str, int] | None) -> list[table.Row]:
  analysis = compiled.memory_analysis()
  parts = {
    'state and batch': analysis.argument_size_in_bytes,
    'results without donated memory': analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
    'temporary': analysis.temp_size_in_bytes,
  }
  parts['peak'] = sum(parts.values())
  if used:
    parts['measured peak of the device'] = used['peak_bytes_in_use']
  base = sum(x.nbytes for x in jax.tree.leaves(state))
  return [
    {'what': name, 'bytes / state': size / base, 'MiB': size / 2**20}
    for name, size in parts.items()
  ]


def compile_seconds(config: ml_collections.ConfigDict) -> dict[str, float]:
  """Traces and compiles the step in this process, without running it."""
  experiment = experiment_lib.build(config)
  batch = experiment.runner.put(next(experiment.batches('train', 0)))
  begin = time.perf_counter()
  runner = experiment.runner
  lowered = runner.step.lower(runner.abstract, runner.frozen, experiment.hyper, batch)
  traced = time.perf_counter()
  lowered.compile()
  return {'trace': traced - begin, 'compile': time.perf_counter() - traced}


def _fresh(argv: Sequence[str], cache: str) -> dict[str, float]:
  """`compile_seconds` in a new process."""
  environment = {
    **os.environ,
    'JAX_COMPILATION_CACHE_DIR': cache,
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  command = [sys.executable, __file__, *argv, '--compile-only']
  done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
  return json.loads(done.stdout.splitlines()[-1])


def compiling(report: table.Report, cold: dict[str, float], warm: dict[str, float]) -> None:
  rows = [
    {
      'compilation cache': name,
      'time / cold': (each['trace'] + each['compile']) / (cold['trace'] + cold['compile']),
      'tracing, s': each['trace'],
      'compiling, s': each['compile'],
    }
    for name, each in {'cold (empty)': cold, 'warm': warm}.items()
  ]
  report.table('compiling the step, each in a new process', rows)


if __name__ == '__main__':
  main()
