"""Ways to refine a simulated prediction, and their scores on held-out scenes."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from depthjax.data import splits
from depthjax.pipelines import maps
from depthjax.pipelines.refine import baselines, refine, two_stage
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce.lab import Lab
from depthjax.scoring import maps as map_scoring

# Disparity of scenes lies in [0, 1]; the farthest is to be this much nearer than infinity.
_FARTHEST = 0.25
_FILE = 'refinement.json'
_VERSION = 2  # Of what is measured and kept: another one measures all anew.

Record = Mapping[str, np.ndarray]


class Way(NamedTuple):
  """How the low prediction is refined.

  Fields:
    kind: 'initial', 'high', 'bicubic', 'guided', 'poisson', 'refined' or 'two_stage'.
    run: the experiment whose network does it, for the last two.
    levels: of windows, for the last.
  """

  kind: str
  run: str = ''
  levels: int = 0


def scores(lab: Lab, way: Way, names: Sequence[str] = (), **fields: Any) -> dict[str, np.ndarray]:
  """By name, for each scene of 'test' [n] (scoring.maps), after training what the way needs.

  Args:
    names: of the scores that there must be; what was measured without one of them, by an older
      version, is measured anew.
    fields: overrides of the scenes and predictions, with '__' for the dot, such as
      data__predictions__noise.

  Raises:
    files.errors.InputError, configuring.ConfigError: as Lab.train.
  """
  overrides = {key.replace('__', '.'): value for key, value in fields.items()}
  config = lab_lib.changed(lab.config(_SCENES), overrides)
  digest = lab_lib.digest(lab.train(way.run)) if way.run else ''
  data, count = config.data.to_dict(), config.eval.examples
  # Windows are drawn last: more of them change nothing else.
  data['predictions']['levels'] = max(data['predictions']['levels'], way.levels)
  key = json.dumps([list(way), digest, _fingerprint(data), count, _VERSION])
  path = lab.root / _FILE
  known = lab_lib.read(path)
  if key not in known or not set(names) <= known[key].keys():
    refined = _method(way, lab, max(data['height'], data['width']))
    rows = [truth.scores(refined(record)[..., 0]) for truth, record in _records(data, count)]
    known = {**lab_lib.read(path), key: {name: [row[name] for row in rows] for name in rows[0]}}
    path.parent.mkdir(parents=True, exist_ok=True)  # Where nothing has been trained yet.
    lab_lib.write(path, known)
  return {name: np.array(x) for name, x in known[key].items()}


# All ways are shown the scenes and predictions of this experiment.
_SCENES = 'sddr'


def _records(data: Mapping[str, Any], count: int) -> Iterator[tuple[map_scoring.Truth, Record]]:
  batches = splits.batches(data, 'test', seed=0, batch_size=1, count=count)
  for number in range(len(batches)):
    record = {name: x[0] for name, x in batches[number].items()}
    disparity = _FARTHEST + (1 - _FARTHEST) * record['target'][..., 0]
    yield map_scoring.Truth(disparity, record['valid'][..., 0] > 0, seed=number), record


def _method(way: Way, lab: Lab, size: int) -> Callable[[Record], np.ndarray]:
  """A record, of a size in pixels -> disparity of that size [h w 1]."""
  if way.kind in ('refined', 'two_stage'):
    refiner = refine.load(lab.place(way.run))
    # As large against the scenes as it saw maps in training; with the papers' alignment.
    fields = {'input_size': size * refiner.enlarged, 'local': False}
    if way.kind == 'refined':
      return lambda record: refine.refine(record['low'], record['high'], refiner, **fields)
    fields['input_size'] = min(fields['input_size'], two_stage.LARGEST)
    settings = two_stage.Settings(levels=way.levels, **fields)
    return functools.partial(_two_stage, refiner=refiner, settings=settings)
  return _CLASSICAL[way.kind]


def _two_stage(
  record: Record, *, refiner: refine.Refiner, settings: two_stage.Settings
) -> np.ndarray:
  views = record['windows'][: two_stage.calls(settings, predicts=False) - 1]
  return two_stage.refine(record['low'], record['high'], refiner, views=views, settings=settings)


def _bicubic(record: Record) -> np.ndarray:
  """The low prediction at a quarter of its size, about its predictor's, enlarged again."""
  low = record['low']
  h, w = low.shape[:2]
  small = maps.resized(low, (max(1, h // 4), max(1, w // 4)))
  return maps.resized(small, (h, w), cv2.INTER_CUBIC)


_CLASSICAL: dict[str, Callable[[Record], np.ndarray]] = {
  'initial': lambda record: record['low'],
  'high': lambda record: record['high'],
  'bicubic': _bicubic,
  'guided': lambda record: baselines.guided_filter(record['low'], record['high']),
  'poisson': lambda record: baselines.poisson_fusion(record['low'], record['high']),
}


def _fingerprint(data: Mapping[str, Any]) -> str:
  text = json.dumps(data, sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()[:16]
