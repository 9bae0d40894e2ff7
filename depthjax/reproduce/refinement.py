"""Refines simulated predictions of test scenes by several methods, and scores the results."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from depthjax import configuring
from depthjax.data import pipeline, splits
from depthjax.pipelines import maps
from depthjax.pipelines.refine import baselines, refine, two_stage
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce.lab import Lab
from depthjax.scoring import maps as map_scoring

# The disparity of scenes, in [0, 1], is mapped to [_FARTHEST, 1], so that its inverse is finite.
_FARTHEST = 0.25
_FILE = 'refinement.json'
_VERSION = 3  # Of the scores; scores of another version in the file are ignored.

Record = Mapping[str, np.ndarray]


class Method(NamedTuple):
  """How a prediction is refined."""

  # Of SDDR: 'initial' (not at all), 'high' (replaced by the high-resolution prediction), 'bicubic',
  # 'guided', 'poisson', 'refined' (one stage) or 'two_stage'.
  kind: str
  run: str = ''  # Experiment whose network 'refined' and 'two_stage' use.
  levels: int = 0  # Levels of windows of 'two_stage'.


class Study(NamedTuple):
  """What methods are compared on."""

  scenes: str  # The experiment whose scenes and simulated predictions are used for all methods.
  # From a method, a lab and the long side of a record to the function from the record to its
  # refined disparity [h w 1].
  function: Callable[[Method, Lab, int], Callable[[Record], np.ndarray]]
  score: Callable[[np.ndarray, Record], Mapping[str, float]]  # Of that disparity.


def scores(
  lab: Lab, method: Method, names: Sequence[str] = (), study: Study | None = None, **fields: Any
) -> dict[str, np.ndarray]:
  """Scores by name, one per scene of the split 'test' [n]; trains the network if necessary.

  Args:
    names: scores that are required; stored results that lack one are computed again.
    study: SDDR's by default.
    fields: overrides of the scenes' config with '__' for the dot: data__predictions__noise.

  Raises files.errors.InputError and configuring.ConfigError as Lab.train.
  """
  study = study or _SDDR
  overrides = {key.replace('__', '.'): value for key, value in fields.items()}
  config = configuring.with_fields(lab.config(study.scenes), overrides)
  run_hash = lab_lib.weights_hash(lab.train(method.run)) if method.run else ''
  data, count = config.data.to_dict(), config.eval.examples
  # Windows are drawn last: more levels change nothing else.
  data['predictions']['levels'] = max(data['predictions']['levels'], method.levels)
  text = json.dumps(data, sort_keys=True, default=str)
  data_hash = hashlib.sha256(text.encode()).hexdigest()[:16]
  key = json.dumps([list(method), run_hash, data_hash, count, _VERSION])
  path = lab.root / _FILE
  known = lab_lib.read_json(path)
  if key not in known or not set(names) <= known[key].keys():
    run = study.function(method, lab, max(data['height'], data['width']))
    rows = [study.score(run(record), record) for record in _records(data, count)]
    known = {**lab_lib.read_json(path), key: {name: [x[name] for x in rows] for name in rows[0]}}
    path.parent.mkdir(parents=True, exist_ok=True)
    lab_lib.write_json(path, known)
  return {name: np.array(x) for name, x in known[key].items()}


def _records(data: Mapping[str, Any], count: int) -> Iterator[Record]:
  batches = splits.batches(data, 'test', seed=0, batch_size=1, count=count)
  for number in range(len(batches)):
    record = {name: x[0] for name, x in batches[number].items()}
    if record['index'] != pipeline.UNREADABLE:
      yield record


def _score(refined: np.ndarray, record: Record) -> dict[str, float]:
  disparity = _FARTHEST + (1 - _FARTHEST) * record['target'][..., 0]
  truth = map_scoring.Truth(disparity, record['valid'][..., 0] > 0, seed=int(record['index']))
  return truth.scores(refined[..., 0])


def _function(method: Method, lab: Lab, size: int) -> Callable[[Record], np.ndarray]:
  """The function from a record of `size` pixels to its refined disparity [h w 1]."""
  if method.kind in ('refined', 'two_stage'):
    refiner = refine.load(lab.path(method.run))
    # The network's input size relative to the scene is that of training; one alignment for the
    # image, without clipping, as the authors evaluate.
    fields = {'input_size': size * refiner.enlarged, 'local': False, 'margin': math.inf}
    if method.kind == 'refined':
      return lambda record: refine.refine(record['low'], record['high'], refiner, **fields)
    fields['input_size'] = min(fields['input_size'], two_stage.LARGEST)
    settings = two_stage.Settings(levels=method.levels, **fields)
    count = two_stage.calls(settings, predicts=False) - 1
    return lambda record: two_stage.refine(
      record['low'], record['high'], refiner, views=record['windows'][:count], settings=settings
    )
  return _WITHOUT_NETWORK[method.kind]


def _bicubic(record: Record) -> np.ndarray:
  """Reduces the low-resolution prediction to 1/4, about the predictor's own size, and enlarges."""
  low = record['low']
  h, w = low.shape[:2]
  small = maps.resized(low, (max(1, h // 4), max(1, w // 4)))
  return maps.resized(small, (h, w), cv2.INTER_CUBIC)


_WITHOUT_NETWORK: dict[str, Callable[[Record], np.ndarray]] = {
  'initial': lambda record: record['low'],
  'high': lambda record: record['high'],
  'bicubic': _bicubic,
  'guided': lambda record: baselines.guided_filter(record['low'], record['high']),
  'poisson': lambda record: baselines.poisson_fusion(record['low'], record['high']),
}
_SDDR = Study('sddr', _function, _score)
