"""Records of the split 'test', and scores of methods on them, each computed once."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from depthjax.data import pipeline, splits
from depthjax.reproduce import lab as lab_lib

Record = Mapping[str, np.ndarray]


def records(data: Mapping[str, Any], count: int) -> Iterator[tuple[int, Record]]:
  """The records of a config's `data` with their numbers, without those that cannot be read."""
  batches = splits.batches(data, 'test', seed=0, batch_size=1, count=count)
  for number in range(len(batches)):
    record = {name: x[0] for name, x in batches[number].items()}
    if record['index'] != pipeline.UNREADABLE:
      yield number, record


def data_hash(data: Mapping[str, Any]) -> str:
  """Hash of a config's `data`."""
  text = json.dumps(data, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def stored(
  path: pathlib.Path,
  terms: Sequence[Any],
  names: Sequence[str],
  measure: Callable[[], Iterable[Mapping[str, float]]],
) -> dict[str, np.ndarray]:
  """Scores by name, one per record [n].

  Args:
    path: JSON file of scores.
    terms: all that decides the scores, as JSON: method, hashes of weights and data, count, version.
    names: scores that are required; stored results that lack one are computed again.
    measure: computes the scores of each record.

  Raises files.errors.InputError: the file is damaged, or cannot be written.
  """
  key, known = json.dumps(terms), lab_lib.read_json(path)
  if key not in known or not set(names) <= known[key].keys():
    rows = list(measure())
    known = {**lab_lib.read_json(path), key: {name: [x[name] for x in rows] for name in rows[0]}}
    path.parent.mkdir(parents=True, exist_ok=True)
    lab_lib.write_json(path, known)
  return {name: np.array(x) for name, x in known[key].items()}
