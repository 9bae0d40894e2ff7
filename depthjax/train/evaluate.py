"""Evaluation: metrics and pictures of a trained state on a split."""

import contextlib
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from depthjax import configuring
from depthjax.data import pipeline
from depthjax.files import images
from depthjax.files.errors import InputError
from depthjax.tasks.task import Weighted
from depthjax.train import experiment as experiment_lib
from depthjax.train import initialise, record, resume
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.errors import NotFinite
from depthjax.train.experiment import Experiment
from depthjax.train.step import TrainState

# Fields that affect the trained weights, but not the scores of given weights.
_TRAINING = (
  *('steps', 'seed', 'batch_size', 'microbatches', 'ema', 'optimizer', 'initialise'),
  'data.scene_source',
)


class Scores(NamedTuple):
  """Means of a task's metrics over the records of a split, each counted once.

  A mean is not finite if an output was not, and NaN if the metric is undefined for all records.
  """

  means: dict[str, float]
  examples: int  # Number of records that were evaluated.
  unreadable: int  # Number of others, which cannot be read.
  nans: dict[str, int]  # By metric, the number of records whose output was NaN or infinite.

  @property
  def faults(self) -> str:
    """One line about unreadable records and outputs, '' if there are none."""
    lines = [f'{self.unreadable} record(s) cannot be read'] if self.unreadable else []
    if self.nans:
      counts = ', '.join(f'{name} in {count}' for name, count in self.nans.items())
      lines.append(f'NaN or infinite output: {counts} of {self.examples} examples')
    return '; '.join(lines)


def evaluate(
  experiment: Experiment, state: TrainState, split: str, *, each: Callable[[], None] = lambda: None
) -> Scores:
  """Scores of the averaged variables on a split ('val' or 'test').

  `each` is called before each batch; it may raise to stop the evaluation.
  """
  scores, index = examples(experiment, state, split, each)
  nans = {name: int((~np.isfinite(x.value[x.weight > 0])).sum()) for name, x in scores.items()}
  return Scores(
    means={name: _mean(x) for name, x in scores.items()},
    examples=int((index < pipeline.UNREADABLE).sum()),
    unreadable=int((index == pipeline.UNREADABLE).sum()),
    nans={name: count for name, count in nans.items() if count},
  )


def examples(
  experiment: Experiment, state: TrainState, split: str, each: Callable[[], None] = lambda: None
) -> tuple[dict[str, Weighted], np.ndarray]:
  """Scores [n] of the n records of a split in their order, and the indices of all batches.

  `each` is as in `evaluate`.
  """
  results = _results(experiment, experiment.evaluate, state, split, each)
  scores, indices = zip(*results, strict=True)
  index = np.concatenate(indices)
  rows = _records(index)
  join = lambda *parts: np.concatenate(parts)[rows].astype(np.float64)  # noqa: E731
  return jax.tree.map(join, *scores), index


def draw(
  experiment: Experiment, config: ml_collections.ConfigDict, state: TrainState, split: str = 'val'
) -> dict[str, np.ndarray]:
  """The task's pictures of the first `eval.pictures` records, stacked vertically: [h w 3]."""
  rows: dict[str, list[np.ndarray]] = {}
  count = config.eval.pictures
  with contextlib.closing(_results(experiment, experiment.pictures, state, split)) as results:
    while count > 0 and (found := next(results, None)):
      pictures, index = found
      chosen = _records(index)[:count]
      count -= len(chosen)
      for name, values in pictures.items():
        rows.setdefault(name, []).extend(values[chosen])
  return {name: np.concatenate(values) for name, values in rows.items() if values}


def _results(
  experiment: Experiment,
  function: Callable,
  state: TrainState,
  split: str,
  each: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Any, np.ndarray]]:
  """The results of step.evaluate_step for each batch of a split, on the host."""
  with contextlib.closing(experiment.batches(split, 0)) as batches:
    for batch in batches:
      each()
      batch = experiment.runner.put(batch)
      yield jax.device_get(function(state, experiment.frozen(), batch))


def _records(index: np.ndarray) -> np.ndarray:
  """The rows that hold records, in the order of the records; the others are padding."""
  return np.argsort(index)[: np.count_nonzero(index < pipeline.UNREADABLE)]


def _mean(scores: Weighted) -> float:
  kept = scores.weight > 0  # Elsewhere the value is arbitrary.
  if not kept.any():
    return np.nan
  return float(np.average(scores.value[kept], weights=scores.weight[kept]))


def newest(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, split: str
) -> dict[str, float]:
  """Means of the metrics for the newest undamaged checkpoint of a run; errors as `restore`.

  Raises NotFinite: an output for a record was NaN or infinite.
  """
  scores = evaluate(*restore(config, workdir), split)
  if scores.nans:
    raise NotFinite(f'{workdir}: {scores.faults}')
  return scores.means


def restore(
  config: ml_collections.ConfigDict, workdir: pathlib.Path, step: int | None = None
) -> tuple[Experiment, TrainState]:
  """A run's checkpoint of a step, or the newest undamaged one; changes nothing in `workdir`.

  Raises InputError: no checkpoint (of that step), a damaged one, or one of another model.
  """
  experiment, found = _build(config), None
  folder = pathlib.Path(workdir) / 'checkpoints'
  if folder.is_dir():
    with contextlib.closing(Checkpoints(folder, read_only=True)) as checkpoints:
      found = checkpoints.restore_newest(experiment.runner.abstract, step)
  if found is None:
    raise InputError(workdir, 'holds no checkpoint', 'the --workdir of a training run')
  return experiment, found[0]


def from_weights(
  config: ml_collections.ConfigDict, path: str | pathlib.Path
) -> tuple[Experiment, TrainState]:
  """A state whose variables are those of a weights file, or of a run's folder.

  Raises InputError: the file cannot be read, or holds other arrays than the model.
  """
  experiment = _build(config)
  state = experiment.runner.init(experiment_lib.seed_key(config.seed))
  table = ml_collections.ConfigDict({'weights': str(path), 'rules': (('.*', 'load'),)})
  return experiment, initialise.from_weights(state, table)


def with_parameters(state: TrainState) -> TrainState:
  """The state with the parameters themselves in place of their averages."""
  variables = {'params': state.params, **state.model_state}
  return state.replace(ema=jax.device_put(variables, jax.tree.map(lambda x: x.sharding, state.ema)))


def differences(
  config: ml_collections.ConfigDict, path: pathlib.Path, terms: resume.Terms
) -> dict[str, record.Change]:
  """The fields that matter in evaluation and differ from those recorded in a file, by dotted name.

  The file is config.json of a run, or weights. Arguments and errors as resume.same_run, except that
  no difference is refused.
  """
  found = resume.same_run(config, path, terms._replace(change=True))
  return {
    name: change
    for name, change in found.items()
    if not {name, name.partition('.')[0]} & set(_TRAINING)
  }


def _build(config: ml_collections.ConfigDict) -> Experiment:
  """The experiment on any devices: those of training, and its batch size, need not fit."""
  devices = min(config.parallel.devices or jax.device_count(), jax.device_count())
  size = config.eval.batch_size or config.batch_size
  fields = {'eval.batch_size': size, 'batch_size': devices, 'microbatches': 1}
  fields |= {'parallel.devices': devices, 'parallel.fsdp': math.gcd(config.parallel.fsdp, devices)}
  return experiment_lib.build(configuring.with_fields(config, fields))


def write_pictures(folder: pathlib.Path, step: int, pictures: dict[str, np.ndarray]) -> None:
  """Writes each picture to FOLDER/NAME_STEP.png."""
  folder.mkdir(parents=True, exist_ok=True)
  for name, picture in pictures.items():
    images.write_image(folder / f'{name}_{step:07d}.png', picture)
