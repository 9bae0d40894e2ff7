"""Where a run begins: at its newest checkpoint, if that is of the same run, or afresh."""

import json
import pathlib
from typing import Any

import ml_collections

from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.train import experiment as experiment_lib
from depthjax.train import initialise
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.experiment import Experiment

# A run that goes on must see the same examples.
_DATA_FIELDS = ('task', 'seed', 'batch_size', 'data')


def restore(
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  checkpoints: Checkpoints,
  workdir: pathlib.Path,
) -> tuple[Any, int]:
  """The newest checkpoint and its step, or a fresh state and 0.

  Raises:
    ConfigError: the run was started with other data, or is past the steps asked for.
    InputError: the checkpoint is of another model, or the record of the config is damaged.
  """
  step = checkpoints.latest()
  if step is not None:
    same_data(config, workdir / 'config.json')
    if step > config.steps:
      raise ConfigError(f'steps is {config.steps}; the run in {workdir} is at step {step} already')
    return checkpoints.restore(experiment.runner.abstract, step), step
  state = experiment.runner.init(experiment_lib.seed_key(config.seed))
  if config.initialise.weights:
    state = initialise.from_weights(state, config.initialise)
  return state, 0


def same_data(config: ml_collections.ConfigDict, record: pathlib.Path) -> None:
  """Refuses to go on with other examples than those that the steps so far stand for."""
  if not record.exists():
    return
  try:
    before = json.loads(record.read_text(encoding='utf-8'))
    before = {field: before[field] for field in _DATA_FIELDS}
  except (ValueError, KeyError, TypeError) as error:
    wrong = 'does not hold the config of the run'
    raise InputError(record, wrong, 'the file that the run wrote, or none') from error
  now = json.loads(as_json(config))
  for field in _DATA_FIELDS:
    if before[field] != now[field]:
      raise ConfigError(
        f'{field} is {now[field]!r}, the run in {record.parent} was started with '
        f'{before[field]!r}; use that, or another workdir'
      )


def as_json(config: ml_collections.ConfigDict) -> str:
  """What a run writes to config.json."""
  return json.dumps(config.to_dict(), indent=2, default=str) + '\n'
