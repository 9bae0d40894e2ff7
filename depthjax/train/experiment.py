"""What a config describes, built: task, data, optimiser and compiled functions of one run."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from depthjax import configuring, parallel, tasks
from depthjax.data import pipeline, splits
from depthjax.files import weights
from depthjax.tasks.task import Task
from depthjax.train import optimizer
from depthjax.train import step as step_lib


class Experiment(NamedTuple):
  """Everything the loop and the evaluation call.

  Fields:
    task: the pure functions that the compiled ones were made of.
    runner: the compiled functions of state and batch.
    evaluate, pictures: compiled (state, batch) -> arrays by name.
    schedule: learning rate of a step.
    batches: (split, start) -> an iterator over host batches from number `start` on.
    feed: start -> an iterator over training batches on the devices, sent there ahead of their step.
  """

  task: Task
  runner: parallel.Runner
  evaluate: Callable[[Any, Any], dict[str, jax.Array]]
  pictures: Callable[[Any, Any], dict[str, jax.Array]]
  schedule: optax.Schedule
  batches: Callable[[str, int], Iterator[dict[str, np.ndarray]]]
  feed: Callable[[int], Iterator[dict[str, jax.Array]]]


def build(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device] | None = None
) -> Experiment:
  """Builds a checked config for the devices and processes at hand; compiles nothing yet.

  Args:
    devices: all of these instead, such as those of a topology that is only compiled for.

  Raises:
    configuring.ConfigError: a field that cannot work here.
    files.errors.InputError: `predictor.weights` names no depth net, or other arrays than its own.
  """
  processes = jax.process_count() if devices is None else 1
  devices = jax.devices() if devices is None else devices
  configuring.check(config, devices=len(devices), processes=processes)
  mode = config.parallel.mode
  devices = devices[: config.parallel.devices or None]
  mesh = parallel.make_mesh(config.parallel.fsdp, devices)
  predictor = _predictor(config.predictor.weights)
  with _refusals():
    each, axis_name = parallel.each(mode, mesh), parallel.axis_name(mode)
    task = tasks.make(config, each=each, axis_name=axis_name, predictor=predictor)
    inputs = _placeholders(config, predictor)
  tx = optimizer.make(config.optimizer, config.steps)
  step = _step(config, task, tx, mesh)
  init = functools.partial(step_lib.init_state, task=task, tx=tx, inputs=inputs)
  with _refusals():
    runner = (
      parallel.pmap_runner(init, step, mesh)
      if mode == 'pmap'
      else parallel.jit_runner(
        init, step, mesh, config.parallel.layouts, smallest=config.parallel.smallest
      )
    )
  return Experiment(
    task=task,
    runner=runner,
    evaluate=runner.read(functools.partial(step_lib.evaluate_step, task=task)),
    pictures=runner.read(functools.partial(step_lib.pictures_step, task=task)),
    schedule=optimizer.schedule(config.optimizer, config.steps),
    batches=functools.partial(_batches, config),
    feed=functools.partial(_batches, config, 'train', transfer=runner.put),
  )


def _step(config: ml_collections.ConfigDict, task: Task, tx: Any, mesh: Any) -> Callable:
  mode = config.parallel.mode
  grads = functools.partial(step_lib.gradients, task=task)
  grads = step_lib.accumulate(grads, config.microbatches)
  grads = parallel.gathered(parallel.averaged(grads, mode), mode, mesh)
  return functools.partial(step_lib.train_step, gradients=grads, tx=tx, decay=config.ema)


def seed_key(seed: int) -> jax.Array:
  """Key data of a run's seed: uint32 [2]."""
  return jax.random.key_data(jax.random.key(seed))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
  """What task, model, scenes or sources refuse of a config's fields is an error of the config."""
  try:
    yield
  except (TypeError, ValueError) as error:
    raise configuring.ConfigError(f'config: {error}') from error


def _batches(
  config: ml_collections.ConfigDict,
  split: str,
  start: int = 0,
  transfer: Callable[[Any], Any] | None = None,
) -> Iterator:
  train = split == 'train'
  with _refusals():
    dataset = splits.batches(
      config.data.to_dict(),
      split,
      seed=config.seed,
      batch_size=config.batch_size,
      shard=(jax.process_index(), jax.process_count()),
      count=None if train else config.eval.examples,
    )
  return pipeline.stream(
    dataset,
    start=start,
    workers=config.input.workers if train else 0,
    threads=config.input.threads,
    transfer=transfer,
    ahead=config.input.ahead,
  )


def _predictor(path: str) -> tuple[Any, Any, int] | None:
  """Variables, network and long side of a trained depth net, as tasks.make wants them."""
  if not path:
    return None
  (network, long_side), variables = weights.load_network(
    path, 'depth', tasks.deeplens_depth.described
  )
  return variables, network, long_side


def _placeholders(config: ml_collections.ConfigDict, predictor: Any) -> Any:
  """Arrays of one example in the shapes of `task.inputs`, to initialise the model with."""
  task = tasks.make(config, each=jax.vmap, axis_name=None, predictor=predictor)
  record = splits.example(config.data.to_dict())
  batch = jax.tree.map(lambda x: np.asarray(x)[None], record)
  inputs = jax.eval_shape(task.inputs, batch)
  return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), inputs)
