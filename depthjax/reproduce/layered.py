"""Kim et al. (CVPR 2022): depth refined by a mask, and an ablation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from depthjax.pipelines.mask_refine import fill
from depthjax.reproduce import mask_refinement
from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.mask_refinement import Method
from depthjax.reproduce.names import Name
from depthjax.reproduce.table import NO_WEIGHTS, Row, Table

_PAPER = 'Kim et al., "Layered depth refinement with mask guidance", CVPR 2022'
_FIRST = 'layered-completion'


def _second(name: str, fields: dict[str, Any] | None = None) -> Experiment:
  return Experiment(name, 'layered', fields or {}, initialise=_FIRST, arg='stage=refinement')


EXPERIMENTS = {
  experiment.name: experiment
  for experiment in (
    Experiment(_FIRST, 'layered', arg='stage=completion'),
    _second('layered'),
    _second('layered-single', {'loss.layers': False}),
    _second('layered-no-warp', {'data.corruption_radius': 0, 'data.masked.displaced': 0.0}),
    _second('layered-no-blur', {'data.corruption_sigma': 0.0}),
    _second('layered-no-filled', {'data.masked.filled': 0.0}),
    _second('layered-no-thinned', {'data.masked.thinned': 0.0}),
    Experiment('layered-one-stage', 'layered', {'loss.start': 0}),
  )
}

_METRICS = ('mbe_3', 'mbe_5', 'mbe_11', 'rmse', 'improved', 'harmed', 'whdr', 'recall')
_COLUMNS = ('MBE 3', 'MBE 5', 'MBE 11', 'RMSE', 'improved', 'harmed', 'WHDR', 'recall', 'R³')
_SCENES = (
  'Ours: held-out scenes with simulated predictions and masks; disparity in [0, 1]. MBE is RMSE in '
  'a band along the border of the mask, by the side of the square that dilates and erodes it; RMSE '
  'is that of all pixels; both after alignment. improved and harmed are mean numbers of pixels of a '
  'scene whose error changes by more than 5 % of the range, R³ is their ratio. recall is that of '
  'the border of the mask as a step of depth of any size'
)
_OURS = "MBE and R³ are defined by us, so they must not be compared with the paper's"


def _row(label: str, paper: tuple, *method: Any, note: str = '') -> Row:
  """A row of Method(*method)."""

  def measure(lab: Lab) -> Sequence[float | np.ndarray]:
    found = mask_refinement.scores(lab, Method(*method), _METRICS)
    improved, harmed = (found[name].sum() for name in ('improved', 'harmed'))
    ratio = max(improved, harmed == 0) / max(harmed, 1)  # As metrics.masks.r3.
    return [*(found[name] for name in _METRICS), ratio]

  return Row(label, paper, measure, note)


# Predictor: its own values, and those refined by Kim et al.
_CONTEXT = {
  'MiDaS': ((0.868, 0.117, 0.384, 0.334), (0.864, 0.120, 0.377, 0.382)),
  'LeReS': ((0.847, 0.123, 0.326, 0.359), (0.846, 0.124, 0.328, 0.387)),
  'ZoeDepth': ((0.900, 0.104, 0.225, 0.208), (0.896, 0.107, 0.228, 0.243)),
}
_NONE = (None,) * 4
# Fill has its least MBE 5 on the scenes of `small` at this one of .013, .02, .03, ..., .08.
_WIDE = 0.04
_WIDER = (
  f'discards a band of {_WIDE:g} of the long side along the border of the mask, which suits these '
  f'scenes; the default of {fill.DISTANCE:g} suits photographs'
)

MAIN = Table(
  Name.LAYERED_MAIN,
  'refinement by a mask',
  f'{_PAPER}, whose own tables are not available. The values of the paper are those of Li et al., '
  '"Self-distilled depth refinement with noisy Poisson fusion", NeurIPS 2024, on Middlebury 2021, '
  'Tables 1 and 7: δ1, REL, ORD and D³R',
  ('δ1', 'REL', 'ORD', 'D³R'),
  _COLUMNS,
  (
    _row('Initial prediction', _NONE, 'initial'),
    _row(
      'Composite',
      _NONE,
      'composite',
      note="the mask's side at its median disparity, over the initial prediction; most drawn "
      'objects have one disparity, which favours it',
    ),
    _row('Guided filter, by the mask', _NONE, 'guided'),
    _row('Guided filter, by the photograph', _NONE, 'guided by photo'),
    _row('Fill', _NONE, 'fill'),
    _row('Fill, wide', _NONE, 'fill', '', _WIDE, note=_WIDER),
    _row('Ours', _NONE, 'refined', 'layered'),
    _row('Ours, wide', _NONE, 'refined', 'layered', _WIDE, note=_WIDER),
    _row(
      "Ours, the network's layers alone",
      _NONE,
      'layers',
      'layered',
      note='without the initial prediction away from the mask',
    ),
    *(
      Row(label, paper, None, note)
      for name, (alone, refined) in _CONTEXT.items()
      for label, paper, note in (
        (name, alone, ''),
        (f'{name}, Kim et al.', refined, NO_WEIGHTS),
      )
    ),
  ),
  data=f'The paper: photographs without masks of their own. {_SCENES}. {_OURS}.',
  expected='The values of the paper have other data and metrics: they show no direction.',
  reference='Ours',
)

ABLATION = Table(
  Name.LAYERED_ABLATION,
  'layers, errors of the training data, stages',
  f'{_PAPER}, whose own ablation is not available',
  (),
  _COLUMNS,
  (
    _row(
      'without layers',
      (),
      'single',
      'layered-single',
      note='the network predicts the visible disparity as one map',
    ),
    _row('without P2, wrong silhouettes', (), 'layers', 'layered-no-warp'),
    _row('without P3, blur', (), 'layers', 'layered-no-blur'),
    _row('without P4, holes filled', (), 'layers', 'layered-no-filled'),
    _row('without P5, thin parts lost', (), 'layers', 'layered-no-thinned'),
    _row('one stage', (), 'layers', 'layered-one-stage', note='refinement from the first step'),
    _row('full', (), 'layers', 'layered'),
  ),
  data=f"{_SCENES}. All rows are of the network's layers alone. {_OURS}.",
  expected="Unknown: the paper's values are not available.",
  reference='full',
)

TABLES = {table.name: table for table in (MAIN, ABLATION)}
