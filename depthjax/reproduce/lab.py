"""Where experiments are run once and their scores kept: a folder of runs."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from depthjax import configuring
from depthjax.files import atomic, weights
from depthjax.files.errors import InputError
from depthjax.train import evaluate, loop, record, resume

_EYES = 'predictor.json'  # Beside a run's config.json: the digest of what it looked through.


class Experiment(NamedTuple):
  """What to train.

  Fields:
    name: of its folder.
    config: stem of a file in configs/.
    fields: overrides of the config at the chosen size, by dotted name.
    predictor: name of the experiment that predicts the disparity it trains on, if it needs one.
  """

  name: str
  config: str
  fields: Mapping[str, Any] = {}
  predictor: str = ''


class Lab:
  """Experiments at one size in one folder; each is trained once, each evaluation made once.

  `fields` override every experiment's config, such as its steps.
  """

  def __init__(
    self,
    root: pathlib.Path,
    configs: pathlib.Path,
    size: str,
    fields: Mapping[str, Any],
    experiments: Mapping[str, Experiment],
  ):
    self.root = root
    self.size = size
    self._configs = configs
    self._fields = dict(fields)
    self._experiments = experiments

  def config(self, name: str) -> ml_collections.ConfigDict:
    """The config that an experiment trains with, locked.

    Raises:
      configuring.ConfigError: no such file, size or field.
    """
    experiment = self._experiments[name]
    fields = {**experiment.fields, **self._fields}
    if experiment.predictor:
      fields['predictor.weights'] = str(self.root / experiment.predictor)
    return _changed(self._plain(name), fields)

  def _plain(self, name: str) -> ml_collections.ConfigDict:
    """The config of an experiment's file, without anybody's changes."""
    return configuring.load(self._configs / f'{self._experiments[name].config}.py', self.size)

  def scores(
    self, name: str, predictor: str = '', frames: str = '', **fields: Any
  ) -> dict[str, float]:
    """Scores on the split 'test', after training what is not trained yet.

    Args:
      predictor: name of the experiment that predicts the disparity to evaluate on, if any.
      frames: name of the experiment on whose scenes and through whose lens to evaluate, as far as
        they are others than its own.
      fields: overrides of the config for the evaluation, with '__' for the dot.

    Raises:
      files.errors.InputError: a record of the runs is damaged.
      configuring.ConfigError: as `train`.
    """
    overrides = {key.replace('__', '.'): value for key, value in fields.items()}
    if frames:
      overrides |= self._frames(name, frames)
    if predictor:
      self.train(predictor)
      overrides['render.disparity'] = 'predicted'
      overrides['predictor.weights'] = str(self.root / predictor)
    workdir = self.train(name)
    config = _changed(self.config(name), overrides)
    eyes = _digest(self.root / predictor) if predictor else ''
    record, key = workdir / 'scores.json', json.dumps([overrides, config.eval.examples, eyes])
    known = _read(record)
    if key not in known:
      known[key] = evaluate.newest(config, workdir, 'test')
      _write(record, known)
    return known[key]

  def _frames(self, name: str, other: str) -> dict[str, Any]:
    """What of its scenes and lens an experiment must change to be measured on another's frames."""
    config, other = self.config(name), self.config(other)
    return {
      f'{table}.{field}': value
      for table in ('data', 'render')
      for field, value in other[table].items()
      if field != 'disparity' and value != config[table][field]
    }

  def train(self, name: str) -> pathlib.Path:
    """Trains an experiment, and before it the predictor that it needs; its folder.

    A run in the folder counts as this experiment's if all fields of its config.json that decide
    the numbers are the same; one that it lacks must have the value of the config file. What a
    predictor was is recorded before the run starts; a run without that record is older than it,
    and taken for one of the same predictor.

    Raises:
      configuring.ConfigError: the folder holds a run of another config, or of another predictor.
    """
    predictor = self._experiments[name].predictor
    if predictor:
      self.train(predictor)
    config, workdir = self.config(name), self.root / name
    eyes = {'sha256': _digest(self.root / predictor)} if predictor else {}
    terms = resume.Terms(plain=self._plain(name))
    if (workdir / record.NAME).exists():
      terms = _check_same(config, terms, eyes, workdir)
      if _finished(config, workdir):
        return workdir
    elif predictor:
      workdir.mkdir(parents=True, exist_ok=True)
      _write(workdir / _EYES, eyes)
    loop.train(config, workdir, terms)
    (workdir / 'scores.json').unlink(missing_ok=True)
    return workdir


def _check_same(
  config: ml_collections.ConfigDict,
  terms: resume.Terms,
  eyes: Mapping[str, str],
  workdir: pathlib.Path,
) -> resume.Terms:
  """Refuses a run of another config, or of another predictor than that of the digest `eyes`."""
  seen = _read(workdir / _EYES)
  # Where the digest is known, the predictor's folder may have moved.
  known = ('predictor.weights',) if seen else ()
  changed = record.changes(config, _read(workdir / record.NAME), terms.plain.to_dict())
  names = [name for name in changed if name not in known]
  another = f'config (in {", ".join(names[:3])})' if names else ''
  if not names and {**eyes, **seen} != eyes:
    another = 'predictor'
  if another:
    raise configuring.ConfigError(
      f'{workdir} was trained with another {another}; use another --root, or remove it'
    )
  return terms._replace(same=known)


def _finished(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> bool:
  if not (workdir / weights.FILE_NAME).exists():
    return False
  _, metadata = weights.load_weights(workdir, config.task)
  return metadata.get('step') == config.steps


def _changed(config: ml_collections.ConfigDict, fields: Mapping[str, Any]):
  config = config.copy_and_resolve_references().lock()
  try:
    for name, value in fields.items():
      config.update_from_flattened_dict({name: value})
  except KeyError as error:
    raise configuring.ConfigError(f'{config.task} has no field {name!r}') from error
  except (TypeError, AttributeError) as error:
    raise configuring.ConfigError(f'{name}={value!r}: {error}') from error
  return config.lock()


def _digest(workdir: pathlib.Path) -> str:
  """Of a run's weights: one that was trained anew is another predictor."""
  return hashlib.sha256((workdir / weights.FILE_NAME).read_bytes()).hexdigest()


def _read(path: pathlib.Path) -> dict[str, Any]:
  """A table of JSON, empty where there is no file."""
  if not path.exists():
    return {}
  try:
    table = json.loads(path.read_text(encoding='utf-8'))
  except ValueError:
    table = None
  if not isinstance(table, dict):
    raise InputError(path, 'is damaged', 'what this command wrote; remove it to make it anew')
  return table


def _write(path: pathlib.Path, value: Any) -> None:
  text = json.dumps(value, indent=2) + '\n'
  atomic.write_bytes(path, text.encode(), ('.json',))
