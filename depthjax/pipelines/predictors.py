"""Depth predictors by name, from a training run, or from a file; segmenters of a run or a file."""

import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from depthjax.convert import checkpoints, hub_folder, published
from depthjax.files import hub, weights
from depthjax.files.errors import InputError, status
from depthjax.models.predictors import catalogue, runs
from depthjax.models.predictors import published as networks
from depthjax.models.predictors import segmenter as segmenters
from depthjax.models.predictors.predictor import Predictor

_log = logging.getLogger(__name__)


def load(which: str | os.PathLike = catalogue.DEFAULT) -> Predictor:
  """Loads a predictor with its variables, on the default device.

  Args:
    which: a name of models.predictors.catalogue; or the path of a run's folder, of a .safetensors
      file of depthjax, or of a folder as on the Hub (config.json and model.safetensors). A name
      wins over a path. Before its weights are downloaded, their licence is logged.

  Raises:
    files.errors.InputError: an unknown name, with the nearest ones; the file cannot be read or
      downloaded, or holds weights of another network.
  """
  entry = catalogue.CATALOGUE.get(os.fspath(which))
  if entry is not None:
    return _published(_fetched(which, entry), entry.model)._replace(name=os.fspath(which))
  if not status(which) and len(pathlib.Path(which).parts) <= 1:
    wrong = 'is neither the name of a predictor nor a file'
    raise InputError(which, wrong, f'a name such as {catalogue.nearest(os.fspath(which))}')
  if hub_folder.is_folder(which):
    return _published(pathlib.Path(which, hub_folder.WEIGHTS), hub_folder.model_fields(which))
  predictor, variables = weights.load_network(which, runs.FROM_CONFIG)
  return predictor._replace(variables=jax.device_put(variables))


def load_segmenter(path: str | os.PathLike) -> Predictor:
  """Loads the segmenter of a run of the task 'segment', or of its weights, with its variables.

  Raises InputError: as files.weights.load_network.
  """
  segmenter, variables = weights.load_network(path, segmenters.FROM_CONFIG)
  return segmenter._replace(variables=jax.device_put(variables))


def _fetched(name: str, entry: catalogue.Entry) -> pathlib.Path:
  if not entry.repository:
    file = f'{name}.safetensors'
    right = f'the file of {entry.url}, converted: depthjax convert {name} FILE -o {file}'
    raise InputError(name, 'is not on the Hub', f'--predictor={file}: {right}')
  if hub.cached(entry.repository, entry.revision) is None:
    _log.warning('%s: %s', name, entry.licence)
  return hub.fetch(entry.repository, entry.revision, entry.sha256, entry.size)


def _published(file: pathlib.Path, fields: Mapping[str, Any]) -> Predictor:
  """A published checkpoint as a predictor."""
  variables = published.convert(checkpoints.read(file), fields, file)
  return networks.describe(fields)._replace(variables=jax.device_put(variables))
