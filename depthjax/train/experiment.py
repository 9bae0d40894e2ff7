"""Builds task, data, optimiser and compiled functions from a config."""

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
from depthjax.tasks.task import Env, Task, Weighted
from depthjax.train import optimizer
from depthjax.train import step as step_lib


class Experiment(NamedTuple):
  """The functions that the training loop and the evaluation call.

  `evaluate` and `pictures` are step.evaluate_step, compiled. `batches` and `feed` begin with batch
  number `start`; those of 'val' and 'test' end.
  """

  task: Task
  runner: parallel.Runner
  frozen: Callable[[], Any]  # Variables of the frozen networks on the devices.
  evaluate: Callable[[Any, Any, Any], tuple[dict[str, Weighted], jax.Array]]
  pictures: Callable[[Any, Any, Any], tuple[dict[str, jax.Array], jax.Array]]
  hyper: dict[str, np.ndarray]  # Scalars that the train step takes, on the host.
  schedule: optax.Schedule  # Learning rate by step.
  batches: Callable[[str, int], Iterator[dict[str, np.ndarray]]]  # (split, start); on the host.
  feed: Callable[[int], Iterator[dict[str, jax.Array]]]  # start; prefetches to the devices.


def build(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device] | None = None
) -> Experiment:
  """Checks a config and builds its functions, without compiling them.

  The devices are all those of all processes by default; `depthjax plan` gives those of a topology.

  Raises:
    ConfigError: a field is invalid or does not fit the devices.
    InputError: `predictor.weights` or `segmenter.weights` is of another task or has other arrays.
  """
  processes = jax.process_count() if devices is None else 1
  devices = jax.devices() if devices is None else devices
  configuring.check(config, devices=len(devices), processes=processes)
  mode = config.parallel.mode
  devices = devices[: config.parallel.devices or None]
  mesh = parallel.make_mesh(config.parallel.fsdp, devices)
  networks, frozen = {}, {}  # The frozen networks by name: descriptions and variables.
  for name, described in (('predictor', tasks.PREDICTORS), ('segmenter', tasks.SEGMENTERS)):
    if path := config[name].weights:
      networks[name], frozen[name] = weights.load_network(path, described)
  with _config_errors():
    env = Env(parallel.map_examples(mode, mesh), parallel.axis_name(mode), networks)
    task = tasks.make(config, env)
    inputs = _placeholders(config, networks, frozen)
    make, hyper = functools.partial(optimizer.make, config.optimizer), optimizer.hyper(config)
    step = _step(config, task, make, mesh)
    init = functools.partial(step_lib.init_state, task=task, tx=make(hyper), inputs=inputs)
    if mode == 'pmap':
      runner = parallel.pmap_runner(init, step, mesh, frozen=frozen)
    else:
      layouts, min_size = config.parallel.layouts, config.parallel.min_size
      runner = parallel.jit_runner(init, step, mesh, layouts, min_size=min_size, frozen=frozen)
  evaluate = functools.partial(step_lib.evaluate_step, task=task)
  return Experiment(
    task=task,
    runner=runner,
    frozen=functools.cache(lambda: runner.put_frozen(frozen)),
    evaluate=runner.read(functools.partial(evaluate, function=task.scores)),
    pictures=runner.read(functools.partial(evaluate, function=task.pictures)),
    hyper=hyper,
    schedule=optimizer.schedule(config.optimizer.schedule, hyper),
    batches=functools.partial(_batches, config),
    feed=functools.partial(_batches, config, 'train', transfer=runner.put),
  )


def placeholder_batch(config: ml_collections.ConfigDict, size: int | None = None) -> Any:
  """Shapes and dtypes of a batch of `size` examples; default: the config's batch size."""
  size = size or config.batch_size
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct((size, *np.shape(x)), np.asarray(x).dtype),
    splits.example(config.data.to_dict()),
  )


def _step(config: ml_collections.ConfigDict, task: Task, make: Callable, mesh: Any) -> Callable:
  mode, factors = config.parallel.mode, config.optimizer.learning_rate_factors
  trained = functools.partial(optimizer.trained, learning_rate_factors=factors)
  grads = functools.partial(step_lib.gradients, task=task, trained=trained)
  grads = step_lib.accumulate(grads, config.microbatches)
  grads = parallel.all_gathered(parallel.averaged(grads, mode), mode, mesh)
  return functools.partial(step_lib.train_step, gradients=grads, optimizer=make)


def seed_key(seed: int) -> jax.Array:
  """Key data of a seed: uint32 [2]."""
  return jax.random.key_data(jax.random.key(seed))


@contextlib.contextmanager
def _config_errors() -> Iterator[None]:
  """Turns errors of tasks, models and data sources about config fields into ConfigErrors."""
  try:
    yield
  except (TypeError, ValueError) as error:
    raise configuring.ConfigError(f'config: {error}') from error


def _batches(
  config: ml_collections.ConfigDict, split: str, start: int = 0, transfer: Callable | None = None
) -> Iterator:
  train = split == 'train'
  with _config_errors():
    dataset = splits.batches(
      config.data.to_dict(),
      split,
      seed=config.seed,
      batch_size=config.batch_size if train else config.eval.batch_size or config.batch_size,
      shard=(jax.process_index(), jax.process_count()),
      count=config.eval.examples,
      multiple=config.parallel.devices or jax.device_count(),
    )
  return pipeline.stream(
    dataset,
    start=start,
    workers=config.input.workers if train else 0,
    threads=config.input.threads,
    transfer=transfer,
    ahead=config.input.prefetch,
  )


def _placeholders(config: ml_collections.ConfigDict, networks: Any, frozen: Any) -> Any:
  """Zeros with the shapes of `task.inputs` for one example, to initialise the model with."""
  task = tasks.make(config, Env(frozen=networks))
  inputs = jax.eval_shape(task.inputs, frozen, placeholder_batch(config, 1))
  return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), inputs)
