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

# Beside a run's config.json: the digests of what it looked through and began with.
_EYES = 'predictor.json'
_RECORDED = {'predictor.weights': 'sha256', 'initialise.weights': 'first_sha256'}


class Experiment(NamedTuple):
  """What to train.

  Fields:
    name: of its folder.
    config: stem of a file in configs/.
    fields: overrides of the config at the chosen size, by dotted name.
    predictor: name of the experiment that predicts the disparity it trains on, if it needs one.
    first: name of the experiment whose weights it begins with, if not with fresh ones.
    arg: further arguments of the config file, such as 'stage=first'.
  """

  name: str
  config: str
  fields: Mapping[str, Any] = {}
  predictor: str = ''
  first: str = ''
  arg: str = ''

  @property
  def needs(self) -> dict[str, str]:
    """The experiments it needs, by the field that names their weights."""
    needs = {'predictor.weights': self.predictor, 'initialise.weights': self.first}
    return {field: name for field, name in needs.items() if name}


class Lab:
  """Experiments at one size in one folder; each is trained once, each evaluation made once.

  `fields` override every experiment's config, such as its steps. `given` are weights,
  or folders of runs, by the name of the experiment that they stand for and that is not trained.
  """

  def __init__(
    self,
    root: pathlib.Path,
    configs: pathlib.Path,
    size: str,
    fields: Mapping[str, Any],
    experiments: Mapping[str, Experiment],
    given: Mapping[str, pathlib.Path] = {},
  ):
    self.root = root
    self.size = size
    self._configs = configs
    self._fields = dict(fields)
    self._experiments = experiments
    self._given = dict(given)
    self.used: set[str] = set()  # Of those given.

  def place(self, name: str) -> pathlib.Path:
    """The folder of an experiment, or the weights given for it."""
    return self._given.get(name, self.root / name)

  def config(self, name: str) -> ml_collections.ConfigDict:
    """The config that an experiment trains with, locked.

    Raises:
      configuring.ConfigError: no such file, size or field.
    """
    experiment = self._experiments[name]
    fields = {**experiment.fields, **self._fields}
    fields |= {field: str(self.place(other)) for field, other in experiment.needs.items()}
    return changed(self._plain(name), fields)

  def _plain(self, name: str) -> ml_collections.ConfigDict:
    """The config of an experiment's file, without anybody's changes."""
    experiment = self._experiments[name]
    arg = ','.join(filter(None, (self.size, experiment.arg)))
    return configuring.load(self._configs / f'{experiment.config}.py', arg)

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
      configuring.ConfigError: as `train`, or weights are given in its place.
    """
    if name in self._given:
      raise configuring.ConfigError(f'{name} is scored from a run of its own; it cannot be given')
    overrides = {key.replace('__', '.'): value for key, value in fields.items()}
    if frames:
      overrides |= self._frames(name, frames)
    if predictor:
      self.train(predictor)
      overrides['render.disparity'] = 'predicted'
      overrides['predictor.weights'] = str(self.place(predictor))
    workdir = self.train(name)
    config = changed(self.config(name), overrides)
    eyes = digest(self.place(predictor)) if predictor else ''
    record, key = workdir / 'scores.json', json.dumps([overrides, config.eval.examples, eyes])
    known = read(record)
    if key not in known:
      known[key] = evaluate.newest(config, workdir, 'test')
      write(record, known)
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
    """Trains an experiment, and before it those that it needs; its `place`.

    A run in the folder counts as this experiment's if all fields of its config.json that decide
    the numbers are the same; one that it lacks must have the value of the config file. What a
    predictor was, or the weights to begin with, is recorded before the run starts; a run without
    that record is older than it, and taken for one of the same.

    Raises:
      configuring.ConfigError: the folder holds a run of another config, predictor or beginning.
    """
    if name in self._given:
      self.used.add(name)
      return self.place(name)
    needs = self._experiments[name].needs
    for other in needs.values():
      self.train(other)
    config, workdir = self.config(name), self.place(name)
    digests = {field: digest(self.place(other)) for field, other in needs.items()}
    eyes = {_RECORDED[field]: digest for field, digest in digests.items()}
    terms = resume.Terms(defaults=self._plain(name))
    if (workdir / record.NAME).exists():
      terms = _check_same(config, terms, eyes, workdir)
      if _finished(config, workdir):
        return workdir
    elif needs:
      workdir.mkdir(parents=True, exist_ok=True)
      write(workdir / _EYES, eyes)
    loop.train(config, workdir, terms)
    (workdir / 'scores.json').unlink(missing_ok=True)
    return workdir


def _check_same(
  config: ml_collections.ConfigDict,
  terms: resume.Terms,
  eyes: Mapping[str, str],
  workdir: pathlib.Path,
) -> resume.Terms:
  """Refuses a run of another config, or of another predictor or beginning than of these `eyes`."""
  seen = read(workdir / _EYES)
  # Where a digest is known, that folder may have moved.
  known = tuple(field for field, name in _RECORDED.items() if name in seen)
  path = workdir / record.NAME
  recorded = record.read(path) if path.exists() else {}
  changed = record.changes(config, recorded, terms.defaults.to_dict())
  names = [name for name in changed if name not in known]
  another = f'config (in {", ".join(names[:3])})' if names else ''
  if not names and {**eyes, **seen} != eyes:
    another = 'predictor or first stage'
  if another:
    raise configuring.ConfigError(
      f'{workdir} was trained with another {another}; use another --root, or remove it'
    )
  return terms._replace(ignored=known)


def _finished(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> bool:
  if not (workdir / weights.FILE_NAME).exists():
    return False
  _, metadata = weights.load_weights(workdir, config.task)
  return metadata.get('step') == config.steps


def changed(config: ml_collections.ConfigDict, fields: Mapping[str, Any]):
  config = config.copy_and_resolve_references().lock()
  try:
    for name, value in fields.items():
      config.update_from_flattened_dict({name: value})
  except KeyError as error:
    raise configuring.ConfigError(f'{config.task} has no field {name!r}') from error
  except (TypeError, AttributeError) as error:
    raise configuring.ConfigError(f'{name}={value!r}: {error}') from error
  return config.lock()


def digest(run: pathlib.Path) -> str:
  """Of the weights in a run's folder, or of a file: what was trained anew is another predictor."""
  return hashlib.sha256(weights.file_of(run).read_bytes()).hexdigest()


def read(path: pathlib.Path) -> dict[str, Any]:
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


def write(path: pathlib.Path, value: Any) -> None:
  text = json.dumps(value, indent=2) + '\n'
  atomic.write_bytes(path, text.encode(), ('.json',))
