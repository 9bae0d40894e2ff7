"""Where a run begins: at its newest sound checkpoint, if that is of the same run, or afresh."""

import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import ml_collections

from depthjax import configuring
from depthjax.configuring import ConfigError
from depthjax.train import experiment as experiment_lib
from depthjax.train import initialise, record
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.experiment import Experiment


class Terms(NamedTuple):
  """On what terms a run may go on from what is in its folder.

  Fields:
    change: whether it may with fields that decide the numbers changed.
    plain: the config as its file has it, without anybody's changes: values of fields that an older
      record lacks. None takes configuring.defaults(), and for the rest what the config has.
    same: fields that are known to mean the same though they read otherwise.
  """

  change: bool = False
  plain: ml_collections.ConfigDict | None = None
  same: Collection[str] = ()


STRICT = Terms()


class Start(NamedTuple):
  """A state, its step, and the fields that changed since the run was at it."""

  state: Any
  step: int
  changed: Mapping[str, record.Change]


def restore(
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  checkpoints: Checkpoints,
  workdir: pathlib.Path,
  terms: Terms = STRICT,
) -> Start:
  """The newest sound checkpoint, or a fresh state and step 0.

  Raises:
    ConfigError: the run was started with another config, or is past the steps asked for.
    InputError: the checkpoint is of another model, none is sound, or the record of the config is
      damaged.
  """
  newest = checkpoints.latest()
  if newest is None:
    state = experiment.runner.init(experiment_lib.seed_key(config.seed))
    if config.initialise.weights:
      state = initialise.from_weights(state, config.initialise)
    return Start(state, 0, {})
  changed = same_run(config, workdir / record.NAME, terms)
  if newest > config.steps:
    raise ConfigError(f'steps is {config.steps}; the run in {workdir} is at step {newest} already')
  state, step = checkpoints.restore_newest(experiment.runner.abstract)
  return Start(state, step, changed)


def same_run(
  config: ml_collections.ConfigDict, path: pathlib.Path, terms: Terms = STRICT
) -> dict[str, record.Change]:
  """The fields that changed since the record at `path`, if the run may go on with them.

  More steps always may be: that the learning rates follow a longer schedule is for the log to say.

  Raises:
    ConfigError: fields that decide the numbers changed, and `terms` do not allow it.
    InputError: the record is damaged.
  """
  if not path.exists():
    return {}
  plain = record.deciding(config.to_dict()) | record.deciding(configuring.defaults().to_dict())
  if terms.plain is not None:
    plain = terms.plain.to_dict()
  changed = record.changes(config, record.read(path), plain)
  changed = {name: change for name, change in changed.items() if name not in terms.same}
  refused = {name: change for name, change in changed.items() if name != 'steps'}
  if refused and not terms.change:
    raise ConfigError(
      f'{path.parent} was trained with another config: {in_words(refused)}; use that, another '
      'workdir, or --change to go on with this one'
    )
  return changed


def in_words(changed: Mapping[str, record.Change]) -> str:
  """What changed, in a line."""
  return ', '.join(
    f'{name} was {json.dumps(change.was)}, is {json.dumps(change.now)}'
    for name, change in changed.items()
  )
