"""Virtual depth labels: NAME.npy, a preview NAME.png, and labels.json: what made them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depthjax.files import atomic
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError, decoding, readable_file, status

RECORD = 'labels.json'


def outputs(path: str | os.PathLike) -> list[Path]:
  """Refuses a label that cannot be written; returns its files."""
  label = atomic.check_output(path, ('.npy',))
  return [label, atomic.check_output(label.with_suffix('.png'), ('.png',))]


def write(path: str | os.PathLike, label: np.ndarray) -> None:
  """Writes disparity [h w 1] as float32 NPY [h w], and stretched to 16 bits as PNG beside it."""
  for file, values in zip(outputs(path), (label, depth_files.to_unit_range(label)), strict=True):
    depth_files.write_depth(file, values)


def read_record(folder: str | os.PathLike) -> dict[str, Any]:
  """What made the labels of a folder: fields of the predictor and of the command.

  `predictor` is its name, `sha256` the weights.digest of its variables. Labels are its output with
  near large, in 1/m if `metric`.

  Raises InputError: labels.json is missing, damaged or not a JSON object.
  """
  path = readable_file(Path(folder, RECORD))
  with decoding(path, 'a file written by depthjax tom-labels'):
    return dict(json.loads(path.read_text(encoding='utf-8')))


def keep_record(folder: str | os.PathLike, record: Mapping[str, Any]) -> None:
  """Writes labels.json if there is none.

  Raises InputError: it, or another process just now, records other settings; or it is missing
  beside labels.
  """
  has_labels = next(Path(folder).glob('*.npy'), None)  # Before the record, which is written first.
  if status(Path(folder, RECORD)) is None:
    if has_labels:
      raise InputError(folder, f'has NPY files, but no {RECORD}', 'labels with it, or a new folder')
    atomic.write_json(Path(folder, RECORD), record)
  found = read_record(folder)
  for name, value in record.items():
    if name != 'predictor' and found.get(name) != value:  # The hash says which predictor it is.
      wrong = f'holds labels of {found.get("predictor")} with {name} {found.get(name)}'
      raise InputError(folder, wrong, f'{name} {value}, or another folder')
