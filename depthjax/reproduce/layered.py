"""Kim et al. (CVPR 2022): depth refined by a mask, and an ablation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from depthjax.files.depth import to_unit_range
from depthjax.pipelines.mask_refine import fill, learned, masks
from depthjax.pipelines.refine import baselines
from depthjax.reproduce import refinement
from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.names import Name
from depthjax.reproduce.refinement import Method, Record
from depthjax.reproduce.table import Row, Table
from depthjax.scoring import masks as mask_scoring

_PAPER = 'Kim et al., "Layered depth refinement with mask guidance", CVPR 2022'


def _second(name: str, fields: dict[str, Any] | None = None) -> Experiment:
  first = 'layered-completion'
  return Experiment(name, 'layered', fields or {}, initialise=first, arg='stage=refinement')


EXPERIMENTS = {
  experiment.name: experiment
  for experiment in (
    Experiment('layered-completion', 'layered', arg='stage=completion'),
    _second('layered'),
    _second('layered-single', {'loss.layers': False}),
    _second('layered-no-p2', {'data.corruption_radius': 0, 'data.masked.displaced': 0.0}),
    _second('layered-no-p3', {'data.corruption_sigma': 0.0}),
    _second('layered-no-p4', {'data.masked.filled': 0.0}),
    _second('layered-no-p5', {'data.masked.thinned': 0.0}),
    Experiment('layered-one-stage', 'layered', {'loss.start': 0}),
  )
}
# Of .013, .02, .03, ..., .08, fill has its least MBE 5 at this distance, on scenes of 160 pixels.
_WIDE = 0.04


def _function(method: Method, lab: Lab, size: int) -> Callable[[Record], np.ndarray]:
  network = learned.load(lab.path(method.run)) if method.run else None
  predict = lambda x: learned.predict(*_inputs(x), network, size)  # noqa: E731
  functions = {
    'initial': lambda x: x['seen'],
    'composite': lambda x: np.where(
      x['mask'] > 0.5, np.median(x['seen'][x['mask'] > 0.5]), x['seen']
    ),
    'guided': lambda x: baselines.guided_filter(x['seen'], x['mask']),
    'fill': lambda x: fill.refine(x['seen'], x['mask']),
    'wide': lambda x: fill.refine(x['seen'], x['mask'], distance=_WIDE),
    'refined': lambda x: masks.composite(
      learned.layers(*_inputs(x), network, input_size=size), x['mask']
    ),
    'layers': lambda x: masks.composite(predict(x), x['mask']),
    'single': lambda x: predict(x).inside,  # Of the mask, trained as the whole map.
  }
  # A constant prediction, which the command refuses, stays as it is.
  run = functions[method.kind]
  return lambda x: run(x) if to_unit_range(x['seen']).any() else x['seen']


def _inputs(record: Record) -> tuple[np.ndarray, ...]:
  return record['image'] / np.float32(255), record['seen'], record['mask']


def _score(refined: np.ndarray, record: Record) -> dict[str, float]:
  found = mask_scoring.scores(refined[None], {name: x[None] for name, x in record.items()})
  return {name: float(x[0]) for name, x in found.items()}


_STUDY = refinement.Study('layered', _function, _score)
_METRICS = ('mbe_3', 'mbe_5', 'mbe_11', 'rmse', 'whdr', 'recall', 'improved', 'harmed')
_COLUMNS = ('MBE 3', 'MBE 5', 'MBE 11', 'RMSE', 'WHDR', 'recall', 'improved', 'harmed', 'R³')
_DATA = (
  'Ours: held-out scenes with simulated predictions and masks; disparity in [0, 1]. MBE is RMSE in '
  'bands along the border of the mask, RMSE that of all pixels, both after alignment; recall is '
  'that of the border as a step of depth of any size. improved and harmed are mean numbers of '
  'pixels of a scene whose error changes by more than 5 % of the range, R³ is their ratio. MBE and '
  "R³ are as we define them, so they cannot be compared with the paper's."
)


def _row(label: str, paper: tuple, *method: str, note: str = '') -> Row:
  """A row of Method(*method)."""

  def measure(lab: Lab) -> Sequence[float | np.ndarray]:
    found = refinement.scores(lab, Method(*method), _METRICS, _STUDY)
    improved, harmed = found['improved'].sum(), found['harmed'].sum()
    # The ratio of sums, defined as in metrics.masks.r3.
    return [*(found[x] for x in _METRICS), max(improved, harmed == 0) / max(harmed, 1)]

  return Row(label, paper, measure, note)


_NONE = (None,) * 3
_FLAT = "the mask's side at its median disparity; drawn objects are often flat, which favours it"
_MOVED = 'both layers are moved to the initial prediction, which stays away from the border'
_WIDER = f'discards {_WIDE:g} of the long side along the border instead of {fill.DISTANCE:g}'
MAIN = Table(
  Name.LAYERED_MAIN,
  'refinement by a mask',
  f'{_PAPER}, whose tables are not available. The values of the paper are from Li et al., '
  '"Self-distilled depth refinement with noisy Poisson fusion", NeurIPS 2024, Table 1: δ1, REL and '
  'ORD of three predictors on Middlebury 2021, alone and refined by Kim et al.',
  ('δ1', 'REL', 'ORD'),
  _COLUMNS,
  (
    _row('Initial prediction', _NONE, 'initial'),
    _row('Composite', _NONE, 'composite', note=_FLAT),
    _row('Guided filter', _NONE, 'guided', note='the guide is the mask'),
    _row('Fill', _NONE, 'fill'),
    _row('Fill, wide', _NONE, 'wide', note=_WIDER),
    _row('Ours', _NONE, 'layers', 'layered', note="the network's layers composited by the mask"),
    _row('Ours, as the command', _NONE, 'refined', 'layered', note=_MOVED),
    Row('MiDaS', (0.868, 0.117, 0.384), None),
    Row('MiDaS, Kim et al.', (0.864, 0.120, 0.377), None),
    Row('LeReS', (0.847, 0.123, 0.326), None),
    Row('LeReS, Kim et al.', (0.846, 0.124, 0.328), None),
    Row('ZoeDepth', (0.900, 0.104, 0.225), None),
    Row('ZoeDepth, Kim et al.', (0.896, 0.107, 0.228), None),
  ),
  data=f'The paper: photographs without masks of their own. {_DATA}',
  expected='Nothing: the values of the paper are of other data and metrics.',
  reference='Ours',
)

ABLATION = Table(
  Name.LAYERED_ABLATION,
  'layers, errors of the training data, stages',
  f'{_PAPER}, whose ablation is not available',
  (),
  _COLUMNS,
  (
    _row('without layers', (), 'single', 'layered-single', note='one map: the visible disparity'),
    _row('without wrong silhouettes', (), 'layers', 'layered-no-p2'),
    _row('without blurred edges', (), 'layers', 'layered-no-p3'),
    _row('without filled holes', (), 'layers', 'layered-no-p4'),
    _row('without lost thin parts', (), 'layers', 'layered-no-p5'),
    _row('one stage', (), 'layers', 'layered-one-stage', note='refinement from the first step'),
    _row('full', (), 'layers', 'layered'),
  ),
  data=f"{_DATA} All rows are of the network's layers composited by the mask.",
  expected='Unknown.',
  reference='full',
)

TABLES = {table.name: table for table in (MAIN, ABLATION)}
