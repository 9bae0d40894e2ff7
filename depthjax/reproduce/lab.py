"""A folder of runs: each experiment is trained once; `Lab.scores` are stored beside it."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from depthjax import configuring
from depthjax.files import atomic, weights
from depthjax.files.errors import InputError
from depthjax.train import evaluate, loop, provenance, record, resume

# A run's hashes of its frozen networks and initial weights, by the config field of the weights.
_HASHES = 'predictor.json'
_VERSION = 2  # Of the scores; those of another version in a file are ignored.
_HASH_KEYS = {
  'predictor.weights': 'sha256',
  'segmenter.weights': 'segmenter_sha256',
  'initialise.weights': 'first_sha256',
}


class Experiment(NamedTuple):
  """What to train."""

  name: str  # Of its folder.
  config: str  # Name of a packaged config.
  fields: Mapping[str, Any] = {}  # Overrides of the config by dotted name.
  predictor: str = ''  # Experiment that predicts the disparity to train on, '' for none.
  initialise: str = ''  # Experiment whose weights initialise this one, '' for random weights.
  arg: str = ''  # Further arguments of the config file, such as 'stage=first'.
  segmenter: str = ''  # Experiment that finds glass and mirrors in training, '' for none.

  @property
  def dependencies(self) -> dict[str, str]:
    """The experiments to train first, by the config field of their weights."""
    tables = 'predictor', 'segmenter', 'initialise'
    return {f'{table}.weights': name for table in tables if (name := getattr(self, table))}


@dataclasses.dataclass
class Lab:
  """Trains and evaluates experiments of one size in one folder, each once."""

  root: pathlib.Path  # Folder of the runs.
  size: str  # Of every config.
  fields: Mapping[str, Any]  # Overrides of every config, such as its steps.
  experiments: Mapping[str, Experiment]  # By name.
  # Weights files or folders of runs, by the name of the experiment that they replace.
  given: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)
  seed: int = 0  # Of every training; each seed has folders of its own.
  used: set[str] = dataclasses.field(default_factory=set)  # Names of given weights that were used.
  origins: set[str] = dataclasses.field(default_factory=set)  # provenance.summary of the runs.

  def path(self, name: str) -> pathlib.Path:
    """The folder of an experiment, or the weights given instead."""
    folder = f'{name}-seed{self.seed}' if self.seed else name
    return self.given.get(name, self.root / folder)

  def config(self, name: str) -> ml_collections.ConfigDict:
    """The config that an experiment trains with, locked.

    Raises configuring.ConfigError: no such file, size or field.
    """
    experiment = self.experiments[name]
    paths = {field: str(self.path(other)) for field, other in experiment.dependencies.items()}
    seed = {'seed': self.seed} if self.seed else {}
    fields = {**experiment.fields, **self.fields, **paths, **seed}
    return configuring.with_fields(self._plain(name), fields)

  def _plain(self, name: str) -> ml_collections.ConfigDict:
    """The config of an experiment's file, without overrides."""
    experiment = self.experiments[name]
    arg = ','.join(filter(None, (self.size, experiment.arg)))
    return configuring.load(experiment.config, arg)

  def scores(
    self, name: str, predictor: str = '', frames: str = '', **fields: Any
  ) -> dict[str, float]:
    """Scores of an experiment on the split 'test'; trains it first if necessary.

    Args:
      predictor: experiment that predicts the disparity to evaluate on, '' for the config's.
      frames: experiment whose scenes and lens to evaluate on, '' for its own.
      fields: overrides of the config for the evaluation, with '__' for the dot.

    Raises:
      files.errors.InputError: a stored record is damaged.
      configuring.ConfigError: as `train`, or given weights replace the experiment.
    """
    if name in self.given:
      raise configuring.ConfigError(f'{name} cannot be given: a table scores it, which needs a run')
    overrides = {key.replace('__', '.'): value for key, value in fields.items()}
    if frames:
      overrides |= self._frames(name, frames)
    if predictor:
      self.train(predictor)
      overrides['render.disparity'] = 'predicted'
      overrides['predictor.weights'] = str(self.path(predictor))
    workdir = self.train(name)
    config = configuring.with_fields(self.config(name), overrides)
    predictor_hash = weights_hash(self.path(predictor)) if predictor else ''
    path = workdir / 'scores.json'
    key = json.dumps([overrides, config.eval.examples, predictor_hash, _VERSION])
    known = read_json(path)
    if key not in known:
      known[key] = evaluate.newest(config, workdir, 'test')
      write_json(path, known)
    return known[key]

  def _frames(self, name: str, other: str) -> dict[str, Any]:
    """Overrides that give an experiment the scenes and the lens of another."""
    config, other = self.config(name), self.config(other)
    return {
      f'{table}.{field}': value
      for table in ('data', 'render')
      for field, value in other[table].items()
      if field != 'disparity' and value != config[table][field]
    }

  def train(self, name: str) -> pathlib.Path:
    """Trains an experiment and its dependencies, if necessary; returns its `path`.

    A run in the folder is reused if all config fields that affect its results agree. A field that
    an older run did not record must have the value of the config file.

    Raises configuring.ConfigError: the run has another config, predictor or initial weights.
    """
    if name in self.given:
      self.used.add(name)
      return self.path(name)
    dependencies = self.experiments[name].dependencies
    for other in dependencies.values():
      self.train(other)
    config, workdir = self.config(name), self.path(name)
    hashes = {
      _HASH_KEYS[field]: weights_hash(self.path(other)) for field, other in dependencies.items()
    }
    # Weights are compared by their hash, since the folder may have moved.
    terms = resume.Terms(defaults=self._plain(name), ignored=tuple(dependencies))
    if (workdir / record.NAME).exists():
      _check_same(config, terms, hashes, workdir)
    elif hashes:
      workdir.mkdir(parents=True, exist_ok=True)
      write_json(workdir / _HASHES, hashes)
    path = workdir / weights.FILE_NAME
    if not path.exists() or weights.load_weights(path)[1].get('step') != config.steps:
      loop.train(config, workdir, terms)
      (workdir / 'scores.json').unlink(missing_ok=True)
    _, metadata = weights.load_weights(path)
    if origin := metadata.get('provenance'):  # Older runs have none.
      self.origins.add(provenance.summary(origin))
    return workdir


def _check_same(
  config: ml_collections.ConfigDict,
  terms: resume.Terms,
  hashes: Mapping[str, str],
  workdir: pathlib.Path,
) -> None:
  recorded = configuring.recorded(workdir / record.NAME)
  changes = record.changes(config, recorded, terms.defaults.to_dict())
  names = [name for name in changes if name not in terms.ignored]
  other = f'config (in {", ".join(names[:3])})' if names else ''
  # Older runs have no record of some or all hashes.
  if not names and {**hashes, **read_json(workdir / _HASHES)} != hashes:
    other = 'predictor, segmenter or initial weights'
  if other:
    wrong = f'{workdir} was trained with another {other}'
    raise configuring.ConfigError(f'{wrong}; use another --root, or remove it')


def weights_hash(run: pathlib.Path) -> str:
  """SHA-256 of a weights file, or of the one in a run's folder."""
  return hashlib.sha256(weights.file_of(run).read_bytes()).hexdigest()


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """A JSON object, empty if there is no file.

  Raises files.errors.InputError: not a JSON object.
  """
  if not path.exists():
    return {}
  try:
    table = json.loads(path.read_text(encoding='utf-8'))
  except ValueError:
    table = None
  if not isinstance(table, dict):
    raise InputError(path, 'is damaged', 'a JSON object; remove the file to compute it again')
  return table


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a value as JSON; errors as files.atomic.write_bytes."""
  text = json.dumps(value, indent=2) + '\n'
  atomic.write_bytes(path, text.encode(), ('.json',))
