"""SDDR (Li et al., NeurIPS 2024): Tables 1 to 4 and Figure 7."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from depthjax.reproduce import refinement
from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.names import Name
from depthjax.reproduce.refinement import Method
from depthjax.reproduce.table import NO_WEIGHTS, Row, Table

_PAPER = 'Li et al., "Self-distilled depth refinement with noisy Poisson fusion", NeurIPS 2024'
_LEVELS = 'data.predictions.levels'


def _second(name: str, fields: dict[str, Any] | None = None, first: str = 'sddr-first'):
  return Experiment(name, 'sddr', fields or {}, initialise=first, arg='stage=second')


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
    # Its authors use two examples per step.
    Experiment('gbdf-first', 'sddr', {**_GBDF, 'batch_size': 2}, arg='stage=first'),
    _second('gbdf', {**_GBDF, 'loss.gradient': 0.0, _LEVELS: 0}, 'gbdf-first'),
    _second('gbdf-labels', _GBDF, 'gbdf-first'),
  )
}

_COLUMNS = ('δ1', 'REL', 'RMSE', 'ORD', 'D³R', 'recall', 'F1')
_METRICS = ('delta1', 'rel', 'rmse_disparity', 'ord', 'd3r', 'recall', 'f1')
_SCENES = (
  'Ours: held-out scenes with simulated predictions; disparity in [1/4, 1]. RMSE is of disparity '
  'after alignment; recall and F1 are of depth boundaries'
)


def _row(label: str, paper: tuple, *method: Any, note: str = '', **fields: Any) -> Row:
  """A row of Method(*method); `fields` override the scenes' config."""

  def measure(lab: Lab) -> Sequence[np.ndarray]:
    scores = refinement.scores(lab, Method(*method), _METRICS, **fields)
    return [scores[name] for name in _METRICS]

  return Row(label, paper, measure, note)


TABLE1 = Table(
  Name.SDDR_TABLE1,
  'refinement in one stage',
  f'{_PAPER}, Table 1; LeReS on Middlebury 2021, δ1, REL and ORD',
  ('δ1', 'REL', 'ORD'),
  _COLUMNS,
  (
    _row('Initial prediction', (0.847, 0.123, 0.326), 'initial'),
    _row('High resolution alone', (None,) * 3, 'high'),
    _row('Bicubic', (None,) * 3, 'bicubic'),
    _row('Guided filter', (None,) * 3, 'guided'),
    _row('Poisson fusion', (None,) * 3, 'poisson'),
    Row('Kim 2022', (0.846, 0.124, 0.328), None, NO_WEIGHTS),
    Row('Graph-GDSR', (0.847, 0.124, 0.327), None, NO_WEIGHTS),
    _row(
      'GBDF',
      (0.852, 0.122, 0.316),
      'refined',
      'gbdf',
      note='trained with its own loss, on fewer examples',
    ),
    _row('SDDR', (0.862, 0.120, 0.305), 'refined', 'sddr'),
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
    _row('Initial prediction', (0.847, 0.123, 0.326), 'initial'),
    Row('Boost', (0.844, 0.131, 0.325), None, NO_WEIGHTS),
    _row('SDDR, one stage', (0.862, 0.120, 0.305), 'refined', 'sddr'),
    _row('SDDR, two levels of windows (14 calls)', (0.861, 0.123, 0.309), 'two_stage', 'sddr', 2),
    _row('SDDR, three levels (30 calls)', (None,) * 3, 'two_stage', 'sddr', 3),
  ),
  data=f'The paper: as Table 1. {_SCENES}.',
  expected='As good as one stage in δ1; the paper is a little worse in REL and ORD for LeReS.',
  reference='SDDR, one stage',
)

_REAL = {'data__depth_source': 'builtin'}
TABLE3 = Table(
  Name.SDDR_TABLE3,
  'a real scene that is not in the training data',
  f'{_PAPER}, Table 3; LeReS on DIML, δ1, REL, ORD and D³R',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    _row('Initial prediction', (0.902, 0.101, 0.242, 0.284), 'initial', **_REAL),
    _row('Guided filter', (None,) * 4, 'guided', **_REAL),
    _row('Poisson fusion', (None,) * 4, 'poisson', **_REAL),
    _row('GBDF', (0.906, 0.100, 0.239, 0.267), 'refined', 'gbdf', **_REAL),
    _row('SDDR', (0.926, 0.098, 0.221, 0.220), 'refined', 'sddr', **_REAL),
  ),
  data='The paper: DIML. Ours: the measured disparity of Middlebury 2014 "Motorcycle", which comes '
  'with scikit-image, with one simulated prediction per example, each of another seed.',
  expected='SDDR best in all columns.',
  reference='SDDR',
)


def _ablation(name: Name, title: str, part: str, rows: tuple[Row, ...], expected: str) -> Table:
  """A part of Table 4; the row of the full method is the last."""
  return Table(
    name,
    title,
    f'{_PAPER}, {part}',
    ('δ1', 'REL', 'ORD', 'D³R'),
    _COLUMNS,
    rows,
    data=f'The paper: Middlebury 2021, LeReS. {_SCENES}.',
    expected=expected,
    reference=rows[-1].label,
  )


_FULL = (0.862, 0.120, 0.305, 0.216)
TABLE4A = _ablation(
  Name.SDDR_TABLE4A,
  'levels of windows in the pseudo-labels',
  'Table 4a',
  (
    _row('S = 0', (0.859, 0.125, 0.313, 0.235), 'refined', 'sddr-levels-0'),
    _row('S = 1', (0.860, 0.122, 0.309, 0.223), 'refined', 'sddr-levels-1'),
    _row('S = 2', (0.860, 0.120, 0.307, 0.219), 'refined', 'sddr-levels-2'),
    _row('S = 3', _FULL, 'refined', 'sddr'),
  ),
  'Better with each level.',
)
TABLE4B = _ablation(
  Name.SDDR_TABLE4B,
  'the losses',
  'Table 4b',
  (
    _row('L_gt', (0.854, 0.124, 0.313, 0.240), 'refined', 'sddr-truth'),
    _row('L_gt, L_grad', (0.858, 0.122, 0.307, 0.220), 'refined', 'sddr-gradient'),
    _row('L_gt, L_fusion', (0.859, 0.120, 0.311, 0.229), 'refined', 'sddr-fusion'),
    _row('all', _FULL, 'refined', 'sddr'),
  ),
  'All losses together best, L_gt alone worst.',
)
TABLE4C = _ablation(
  Name.SDDR_TABLE4C,
  'the training data',
  'Table 4c',
  (
    _row(
      'Natural alone',
      (0.860, 0.121, 0.309, 0.222),
      'refined',
      'sddr-natural',
      note='all second-stage targets simulate stereo ground truth; the paper has HRWSI alone',
    ),
    _row('Natural alone, L_gt alone', (None,) * 4, 'refined', 'sddr-natural-truth'),
    _row('Mixed', _FULL, 'refined', 'sddr'),
  ),
  'Nearly as good with natural data alone; the labels compensate for its blurred edges.',
)
TABLE4D = _ablation(
  Name.SDDR_TABLE4D,
  'the kind of label, and labels for another network',
  'Tables 4d and 6',
  (
    _row('GBDF', (0.852, 0.122, 0.316, 0.258), 'refined', 'gbdf'),
    _row('GBDF, labels G_S', (0.858, 0.122, 0.307, 0.230), 'refined', 'gbdf-labels'),
    _row('SDDR, labels D_S', (0.855, 0.129, 0.317, 0.237), 'refined', 'sddr-disparity'),
    _row('SDDR, labels G_S', _FULL, 'refined', 'sddr'),
  ),
  'G_S better than D_S; G_S improves GBDF.',
)

FIGURE7 = Table(
  Name.SDDR_FIGURE7,
  'more noise in the predictions',
  f'{_PAPER}, Figure 7, a figure without numbers',
  (),
  _COLUMNS,
  tuple(
    _row(f'{name}, noise x {amount:g}', (), *method, data__predictions__noise=amount)
    for amount in (0.0, 0.5, 1.0, 2.0, 3.0)
    for name, method in (
      ('Initial prediction', ('initial',)),
      ('Guided filter', ('guided',)),
      ('Poisson fusion', ('poisson',)),
      ('SDDR', ('refined', 'sddr')),
    )
  ),
  data=f'{_SCENES}. The amplitude of all errors of the predictor is multiplied; trained with 1.',
  expected='All decay with noise, SDDR the slowest.',
)

TABLES = {
  table.name: table
  for table in (TABLE1, TABLE2, TABLE3, TABLE4A, TABLE4B, TABLE4C, TABLE4D, FIGURE7)
}
