"""Refines simulated predictions of test scenes with masks by several methods, and scores them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from depthjax.pipelines.mask_refine import fill, learned, masks
from depthjax.pipelines.mask_refine.masks import Layers
from depthjax.pipelines.refine import baselines
from depthjax.reproduce import lab as lab_lib
from depthjax.reproduce import scenes
from depthjax.reproduce.lab import Lab
from depthjax.reproduce.scenes import Record
from depthjax.scoring import masks as mask_scoring

_FILE = 'mask_refinement.json'
_VERSION = 1  # Of the scores; scores of another version in the file are ignored.
# The experiment whose scenes and simulated predictions are used for all methods.
_SCENES = 'layered'


class Method(NamedTuple):
  """How the initial map is refined."""

  # 'initial' (not at all), 'composite' (the mask's side at its median, over the initial map),
  # 'guided' (by the mask), 'guided by photo', 'fill', 'refined' (as the command), 'layers' (the
  # network's layers as they are) or 'single' (the first of them, trained as the whole map).
  kind: str
  run: str = ''  # Experiment whose network the last three use.
  distance: float = fill.DISTANCE  # Of 'fill' and 'refined'.


def scores(lab: Lab, method: Method, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
  """Scores of scoring.masks, one per scene of the split 'test' [n].

  Trains the network if necessary. Raises files.errors.InputError and configuring.ConfigError as Lab.train.
  """
  config = lab.config(_SCENES)
  data, count = config.data.to_dict(), config.eval.examples
  run_hash = lab_lib.weights_hash(lab.train(method.run)) if method.run else ''
  terms = [list(method), run_hash, scenes.data_hash(data), count, _VERSION]

  def measure() -> Iterator[Mapping[str, float]]:
    run = _function(method, lab, max(data['height'], data['width']))
    return (_scores(run(record), record) for _, record in scenes.records(data, count))

  return scenes.stored(lab.root / _FILE, terms, names, measure)


def _scores(refined: np.ndarray, record: Record) -> dict[str, float]:
  sides, matte, mask = Layers(record['target'], record['rest']), record['matte'], record['mask']
  valid = Layers(record['target_valid'], record['rest_valid'])
  truth, known = (masks.composite(x, matte, soft=True) for x in (sides, valid))
  nearer = 1 - mask if masks.farther(sides, mask) else mask
  return mask_scoring.scores(refined, record['seen'], truth, known > 0.999, mask, nearer)


def _function(method: Method, lab: Lab, size: int) -> Callable[[Record], np.ndarray]:
  """The function from a record of `size` pixels to its refined disparity [h w 1]."""
  distance = method.distance
  if method.kind == 'fill':
    return lambda record: fill.refine(record['seen'], record['mask'], distance=distance)
  if not method.run:
    return _WITHOUT_NETWORK[method.kind]
  network = learned.load(lab.path(method.run))

  def run(record: Record) -> np.ndarray:
    arguments = _photo(record), record['seen'], record['mask'], network
    if method.kind == 'refined':
      return learned.refine(*arguments, input_size=size, distance=distance)
    layers = learned.layers(*arguments, input_size=size)
    return layers.inside if method.kind == 'single' else masks.composite(layers, record['mask'])

  return run


def _photo(record: Record) -> np.ndarray:
  return record['image'] / np.float32(255)


def _composite(record: Record) -> np.ndarray:
  seen, inside = record['seen'], record['mask'] > 0.5
  return np.where(inside, np.median(seen[inside]), seen)


_WITHOUT_NETWORK: dict[str, Callable[[Record], np.ndarray]] = {
  'initial': lambda record: record['seen'],
  'composite': _composite,
  'guided': lambda record: baselines.guided_filter(record['seen'], record['mask']),
  'guided by photo': lambda record: baselines.guided_filter(record['seen'], _photo(record)),
}
