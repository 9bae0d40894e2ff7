"""The initial state of a run: its newest checkpoint if the config is the same, or a new state."""

import json
import logging
import pathlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import ml_collections

from depthjax import configuring, processes
from depthjax.configuring import ConfigError
from depthjax.data import splits
from depthjax.train import experiment as experiment_lib
from depthjax.train import initialise, record
from depthjax.train.checkpoint import Checkpoints
from depthjax.train.experiment import Experiment
from depthjax.train.means import Means


class Terms(NamedTuple):
  """The differences from the recorded config with which a run may be resumed.

  `defaults` is the config file without overrides, for fields that an older record lacks; default:
  configuring.defaults(), and the config itself for other fields.
  """

  change: bool = False  # Allow changes of all fields, also those that affect the trained weights.
  defaults: ml_collections.ConfigDict | None = None
  ignored: Collection[str] = ()  # Fields whose values may differ.


STRICT = Terms()


def restore(
  experiment: Experiment,
  config: ml_collections.ConfigDict,
  checkpoints: Checkpoints,
  workdir: pathlib.Path,
  terms: Terms = STRICT,
  at: int | None = None,
) -> tuple[Any, int, Means, dict[str, record.Change]]:
  """The newest undamaged checkpoint, or a new state and step 0 if there is no checkpoint.

  Returns the state, its step, its means, and the fields that differ from the recorded config.
  With `at`, the checkpoint of that step; later ones are renamed to STEP.replaced. WORKDIR/resumed
  then has the step: the same command, restarted, resumes from the newest checkpoint.

  Raises:
    ConfigError: the run has another config, or is already past `config.steps`; or prepared scenes
      were drawn with other fields.
    InputError: config.json is damaged; labels of other weights than `initialise.weights`; and as
      Checkpoints.restore_newest.
  """
  if not terms.change:
    _same_scenes(config)
  records = checkpoints.records()
  if not records and at is None:
    state = experiment.runner.init(experiment_lib.seed_key(config.seed))
    splits.check_start(config.data.to_dict(), config.initialise.weights)
    if config.initialise.weights:
      state = initialise.from_weights(state, config.initialise)
    return state, 0, Means({}), {}
  changed = same_run(config, workdir / record.NAME, terms)
  done = workdir / 'resumed'
  applied = bool(records) and not changed and done.exists() and done.read_text() == str(at)
  if processes.any_process(applied):
    if jax.process_index() == 0:
      words = 'ignored: --resume=%d was applied before; to apply it again, delete %s'
      logging.getLogger(__name__).warning(words, at, done)
    at = None
  newest = max((step for step in records if at in (None, step)), default=0)
  if newest > config.steps:
    raise ConfigError(f'steps is {config.steps}; the run in {workdir} is already at step {newest}')
  state, step = checkpoints.restore_newest(experiment.runner.abstract, at)
  if at is not None:
    checkpoints.set_aside([later for later in records if later > at], 'replaced')
    if jax.process_index() == 0:
      done.write_text(str(at))
  return state, step, Means(records[step], step), changed


def _same_scenes(config: ml_collections.ConfigDict) -> None:
  for where, fields in splits.differences(config.data.to_dict()).items():
    changed = {f'data.{name}': record.Change(*values) for name, values in fields.items()}
    raise ConfigError(
      f'data.scene_source: the scenes in {where} were prepared with other fields: '
      f'{describe(changed)}; use those values, other scenes, or --change to train on these'
    )


def same_run(
  config: ml_collections.ConfigDict, path: pathlib.Path, terms: Terms = STRICT
) -> dict[str, record.Change]:
  """The fields that differ from the record at `path`; `steps` may always differ.

  Raises ConfigError if `terms` do not allow a difference, InputError if the record is damaged.
  """
  if not path.exists():
    return {}
  defaults = terms.defaults or configuring.defaults()
  changed = record.changes(config, configuring.recorded(path), defaults.to_dict())
  changed = {name: change for name, change in changed.items() if name not in terms.ignored}
  refused = {name: change for name, change in changed.items() if name != 'steps'}
  if refused and not terms.change:
    raise ConfigError(
      f'{path.parent} was trained with another config: {describe(refused)}; use that config, '
      'another workdir, or --change to use this config'
    )
  return changed


def describe(changed: Mapping[str, record.Change]) -> str:
  """The changes in one line."""
  return ', '.join(
    f'{name} was {json.dumps(was)}, is {json.dumps(now)}' for name, (was, now) in changed.items()
  )
