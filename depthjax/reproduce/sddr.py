"""SDDR (Li et al., NeurIPS 2024): Tables 1 to 4 and Figure 7."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from depthjax.reproduce import refinement
from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.names import Name
from depthjax.reproduce.refinement import Way
from depthjax.reproduce.table import Row, Table

_PAPER = 'Li et al., "Self-distilled depth refinement with noisy Poisson fusion", NeurIPS 2024'
_LEVELS = 'data.predictions.levels'


def _second(name: str, fields: dict[str, Any] | None = None, first: str = 'sddr-first'):
  return Experiment(name, 'sddr', fields or {}, first=first, arg='stage=second')


_TRUTH = {'loss.gradient': 0.0, 'loss.fusion': 0.0, _LEVELS: 0}
_NATURAL = {'data.predictions.stereo_targets': 1.0}
_GBDF = {'model.network': 'gbdf', 'loss.supervision': 'gbdf', 'loss.fusion': 0.0}

EXPERIMENTS = {
  experiment.name: experiment
  for experiment in (
    Experiment('sddr-first', 'sddr', arg='stage=first'),
    _second('sddr'),
    *(_second(f'sddr-levels-{s}', {_LEVELS: s}) for s in range(3)),
    _second('sddr-truth', _TRUTH),
    _second('sddr-gradient', {'loss.fusion': 0.0}),
    _second('sddr-fusion', {'loss.gradient': 0.0}),
    _second('sddr-natural', _NATURAL),
    _second('sddr-natural-truth', {**_NATURAL, **_TRUTH}),
    _second('sddr-disparity', {'loss.label': 'disparity'}),
    # By two examples a step, as its authors have it.
    Experiment('gbdf-first', 'sddr', {**_GBDF, 'batch_size': 2}, arg='stage=first'),
    _second('gbdf', {**_GBDF, 'loss.gradient': 0.0, _LEVELS: 0}, 'gbdf-first'),
    _second('gbdf-labels', _GBDF, 'gbdf-first'),
  )
}

_COLUMNS = ('δ1', 'REL', 'RMSE', 'ORD', 'D³R', 'recall', 'F1')
_METRICS = ('delta1', 'rel', 'rmse_disparity', 'ord', 'd3r', 'recall', 'f1')
_SCENES = (
  'Ours: drawn scenes, held out by seed, seen by the simulated predictor; disparity from 1/4 to 1. '
  'RMSE is of disparity after alignment; recall and F1 are of depth boundaries. One run each'
)


def _measured(way: Way, **fields: Any) -> Callable[[Lab], Sequence[np.ndarray]]:
  def measure(lab: Lab) -> Sequence[np.ndarray]:
    scores = refinement.scores(lab, way, _METRICS, **fields)
    return [scores[name] for name in _METRICS]

  return measure


_NO_WEIGHTS = 'its weights cannot be had here'

TABLE1 = Table(
  Name.SDDR_TABLE1,
  'refinement in one stage',
  f'{_PAPER}, Table 1; LeReS on Middlebury 2021, δ1, REL and ORD',
  ('δ1', 'REL', 'ORD'),
  _COLUMNS,
  (
    Row('Initial prediction', (0.847, 0.123, 0.326), _measured(Way('initial'))),
    Row('High resolution alone', (None, None, None), _measured(Way('high'))),
    Row('Bicubic', (None, None, None), _measured(Way('bicubic'))),
    Row('Guided filter', (None, None, None), _measured(Way('guided'))),
    Row('Poisson fusion', (None, None, None), _measured(Way('poisson'))),
    Row('Kim 2022', (0.846, 0.124, 0.328), None, _NO_WEIGHTS),
    Row('Graph-GDSR', (0.847, 0.124, 0.327), None, _NO_WEIGHTS),
    Row(
      'GBDF',
      (0.852, 0.122, 0.316),
      _measured(Way('refined', 'gbdf')),
      'trained by its loss, on fewer examples',
    ),
    Row('SDDR', (0.862, 0.120, 0.305), _measured(Way('refined', 'sddr'))),
  ),
  data=f'The paper: 48 pictures, LeReS. {_SCENES}.',
  expected='SDDR best in all columns.',
  reference='SDDR',
)

TABLE2 = Table(
  Name.SDDR_TABLE2,
  'refinement in two stages',
  f'{_PAPER}, Table 2; LeReS on Middlebury 2021, δ1, REL and ORD',
  ('δ1', 'REL', 'ORD'),
  _COLUMNS,
  (
    Row('Initial prediction', (0.847, 0.123, 0.326), _measured(Way('initial'))),
    Row('Boost', (0.844, 0.131, 0.325), None, _NO_WEIGHTS),
    Row('SDDR, one stage', (0.862, 0.120, 0.305), _measured(Way('refined', 'sddr'))),
    Row(
      'SDDR, two levels of windows (14 calls)',
      (0.861, 0.123, 0.309),
      _measured(Way('two_stage', 'sddr', 2)),
    ),
    Row('SDDR, three levels (30 calls)', (None,) * 3, _measured(Way('two_stage', 'sddr', 3))),
  ),
  data=f'The paper: as Table 1. {_SCENES}.',
  expected='As good as one stage in δ1; the paper is a little worse in REL and ORD for LeReS.',
  reference='SDDR, one stage',
)

_REAL = {'data__depth_source': 'builtin'}
TABLE3 = Table(
  Name.SDDR_TABLE3,
  'a natural scene, never trained on',
  f'{_PAPER}, Table 3; LeReS on DIML, δ1, REL, ORD and D³R',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    Row('Initial prediction', (0.902, 0.101, 0.242, 0.284), _measured(Way('initial'), **_REAL)),
    Row('Guided filter', (None,) * 4, _measured(Way('guided'), **_REAL)),
    Row('Poisson fusion', (None,) * 4, _measured(Way('poisson'), **_REAL)),
    Row('GBDF', (0.906, 0.100, 0.239, 0.267), _measured(Way('refined', 'gbdf'), **_REAL)),
    Row('SDDR', (0.926, 0.098, 0.221, 0.220), _measured(Way('refined', 'sddr'), **_REAL)),
  ),
  data='The paper: DIML. Ours: the measured disparity of Middlebury 2014 "Motorcycle", which comes '
  'with scikit-image, seen by the simulated predictor with as many seeds as there are examples.',
  expected='SDDR best in all columns.',
  reference='SDDR',
)

TABLE4A = Table(
  Name.SDDR_TABLE4A,
  'levels of windows in the pseudo-labels',
  f'{_PAPER}, Table 4a',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    Row('S = 0', (0.859, 0.125, 0.313, 0.235), _measured(Way('refined', 'sddr-levels-0'))),
    Row('S = 1', (0.860, 0.122, 0.309, 0.223), _measured(Way('refined', 'sddr-levels-1'))),
    Row('S = 2', (0.860, 0.120, 0.307, 0.219), _measured(Way('refined', 'sddr-levels-2'))),
    Row('S = 3', (0.862, 0.120, 0.305, 0.216), _measured(Way('refined', 'sddr'))),
  ),
  data=f'The paper: Middlebury 2021, LeReS. {_SCENES}.',
  expected='Better with each level.',
  reference='S = 3',
)

TABLE4B = Table(
  Name.SDDR_TABLE4B,
  'the losses',
  f'{_PAPER}, Table 4b',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    Row('L_gt', (0.854, 0.124, 0.313, 0.240), _measured(Way('refined', 'sddr-truth'))),
    Row('L_gt, L_grad', (0.858, 0.122, 0.307, 0.220), _measured(Way('refined', 'sddr-gradient'))),
    Row('L_gt, L_fusion', (0.859, 0.120, 0.311, 0.229), _measured(Way('refined', 'sddr-fusion'))),
    Row('all', (0.862, 0.120, 0.305, 0.216), _measured(Way('refined', 'sddr'))),
  ),
  data=f'The paper: Middlebury 2021, LeReS. {_SCENES}.',
  expected='All together best, L_gt alone worst.',
  reference='all',
)

TABLE4C = Table(
  Name.SDDR_TABLE4C,
  'the training data',
  f'{_PAPER}, Table 4c',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    Row(
      'Natural alone',
      (0.860, 0.121, 0.309, 0.222),
      _measured(Way('refined', 'sddr-natural')),
      'all targets of the second stage as stereo makes them; the paper has HRWSI alone',
    ),
    Row('Natural alone, L_gt alone', (None,) * 4, _measured(Way('refined', 'sddr-natural-truth'))),
    Row('Mixed', (0.862, 0.120, 0.305, 0.216), _measured(Way('refined', 'sddr'))),
  ),
  data=f'The paper: Middlebury 2021, LeReS. {_SCENES}.',
  expected='Nearly as good with natural data alone; its blurred edges are what labels make up for.',
  reference='Mixed',
)

TABLE4D = Table(
  Name.SDDR_TABLE4D,
  'the labels, and what another network makes of them',
  f'{_PAPER}, Tables 4d and 6',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    Row('GBDF', (0.852, 0.122, 0.316, 0.258), _measured(Way('refined', 'gbdf'))),
    Row('GBDF, labels G_S', (0.858, 0.122, 0.307, 0.230), _measured(Way('refined', 'gbdf-labels'))),
    Row(
      'SDDR, labels D_S', (0.855, 0.129, 0.317, 0.237), _measured(Way('refined', 'sddr-disparity'))
    ),
    Row('SDDR, labels G_S', (0.862, 0.120, 0.305, 0.216), _measured(Way('refined', 'sddr'))),
  ),
  data=f'The paper: Middlebury 2021, LeReS. {_SCENES}.',
  expected='G_S better than D_S, and a help to GBDF.',
  reference='SDDR, labels G_S',
)

_AMOUNTS = (0.0, 0.5, 1.0, 2.0, 3.0)
_WAYS = {
  'Initial prediction': Way('initial'),
  'Guided filter': Way('guided'),
  'Poisson fusion': Way('poisson'),
  'SDDR': Way('refined', 'sddr'),
}

FIGURE7 = Table(
  Name.SDDR_FIGURE7,
  'more noise in the predictions',
  f'{_PAPER}, Figure 7, a figure without numbers',
  (),
  _COLUMNS,
  tuple(
    Row(f'{name}, noise x {amount:g}', (), _measured(way, data__predictions__noise=amount))
    for amount in _AMOUNTS
    for name, way in _WAYS.items()
  ),
  data=f'{_SCENES}. The amplitude of all errors of the predictor is multiplied; trained with 1.',
  expected='All decay with noise, SDDR the slowest.',
)

TABLES = {
  table.name: table
  for table in (TABLE1, TABLE2, TABLE3, TABLE4A, TABLE4B, TABLE4C, TABLE4D, FIGURE7)
}
