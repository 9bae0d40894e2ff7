"""Evaluation: metrics and pictures of a trained state on a split."""

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from depthjax.files import images
from depthjax.files.errors import InputError
from depthjax.train import experiment as experiment_lib
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.experiment import Experiment


def evaluate(
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  state: Any,
  split: str,
  *,
  each: Callable[[], None] = lambda: None,
) -> dict[str, float]:
  """Means of the task's metrics over `eval.examples` examples of a split ('val' or 'test').

  The means skip NaN, the value of a metric that is undefined for an example, such as the error at
  edges if there are none. `each` is called before each batch; it may raise to stop the evaluation.
  """
  values: dict[str, list[np.ndarray]] = {}
  batches = experiment.batches(split, 0)
  for _ in range(config.eval.examples // config.batch_size):
    each()
    batch = experiment.runner.put(next(batches))
    scores = experiment.evaluate(state, experiment.frozen(), batch)
    for name, value in jax.device_get(scores).items():
      values.setdefault(name, []).append(value)
  return {name: float(np.nanmean(np.concatenate(parts))) for name, parts in values.items()}


def newest(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, split: str
) -> dict[str, float]:
  """`evaluate` for the newest undamaged checkpoint of a run; changes nothing in `workdir`.

  Raises InputError if there is no checkpoint, all are damaged, or the newest is of another model.
  """
  folder = pathlib.Path(workdir) / 'checkpoints'
  missing = InputError(workdir, 'holds no checkpoint', 'the --workdir of a training run')
  if not folder.is_dir():
    raise missing
  with contextlib.closing(Checkpoints(folder, read_only=True)) as checkpoints:
    if checkpoints.latest() is None:
      raise missing
    experiment = experiment_lib.build(config)
    state, _ = checkpoints.restore_newest(experiment.runner.abstract)
  return evaluate(experiment, config, state, split)


def draw(
  experiment: Experiment, config: ml_collections.ConfigDict, state: Any, split: str = 'val'
) -> dict[str, np.ndarray]:
  """The task's pictures of the first `eval.pictures` examples, stacked vertically: [h w 3]."""
  if not config.eval.pictures:
    return {}
  batch = experiment.runner.put(next(experiment.batches(split, 0)))
  pictures = jax.device_get(experiment.pictures(state, experiment.frozen(), batch))
  count = min(config.eval.pictures, config.batch_size)
  return {name: np.concatenate(list(rows[:count])) for name, rows in pictures.items()}


def write_pictures(folder: pathlib.Path, step: int, pictures: dict[str, np.ndarray]) -> None:
  """Writes each picture to FOLDER/NAME_STEP.png."""
  folder.mkdir(parents=True, exist_ok=True)
  for name, picture in pictures.items():
    images.write_image(folder / f'{name}_{step:07d}.png', picture)
