"""Predictors from folders as on the Hugging Face Hub: config.json and model.safetensors."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from depthjax.files.errors import InputError, readable_file
from depthjax.models.predictors.depth_anything import SIZES

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
_RIGHT = "the config.json of Depth Anything (version 1 or 2) or DPT-Large, as transformers' own"


def is_folder(path: str | os.PathLike) -> bool:
  """Whether this is a folder with such weights."""
  return pathlib.Path(path, WEIGHTS).is_file()


def model_fields(folder: str | os.PathLike) -> dict[str, Any]:
  """The `model` fields of models.predictors.published for the network that config.json describes.

  Raises InputError: not JSON, or another network.
  """
  path = readable_file(pathlib.Path(folder) / CONFIG)
  try:
    config = json.loads(path.read_text(encoding='utf-8'))
    fields = _FIELDS[config['model_type']](config)
  except (KeyError, TypeError, ValueError, AttributeError) as error:
    wrong = f'describes no network that is known ({type(error).__name__}: {error})'
    raise InputError(path, wrong, _RIGHT) from error
  if fields is None:
    raise InputError(path, f'describes another {config["model_type"]} network', _RIGHT)
  return fields


def _depth_anything(config: Mapping[str, Any]) -> dict[str, Any] | None:
  backbone = config['backbone_config']
  found = backbone['hidden_size'], config['fusion_hidden_size'], list(backbone['out_indices'])
  for name, size in SIZES.items():
    for version, taps in size.taps.items():
      if found == (size.width, size.fusion, [tap + 1 for tap in taps]):
        metric = config.get('depth_estimation_type') == 'metric'
        fields = {'network': 'depth_anything', 'size': name, 'version': version}
        limit = float(config['max_depth']) if metric else 0.0
        return {**fields, 'max_depth': limit} if limit > 0 or not metric else None
  return None


def _dpt(config: Mapping[str, Any]) -> dict[str, Any] | None:
  sizes = config['hidden_size'], config['num_hidden_layers'], config['image_size']
  usual = sizes == (1024, 24, 384) and config['patch_size'] == 16 and not config.get('is_hybrid')
  return {'network': 'dpt'} if usual else None


_FIELDS = {'depth_anything': _depth_anything, 'dpt': _dpt}
