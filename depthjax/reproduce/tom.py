"""Costanzino et al. (ICCV 2023): depth of glass and mirrors from virtual labels, on scenes.

The base that is fine-tuned is our own: it is trained on scenes whose glass and mirrors have the
disparity of what is behind them or reflected.
"""

import functools
from collections.abc import Sequence

import numpy as np

from depthjax import configuring
from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.names import Name
from depthjax.reproduce.table import Row, Table
from depthjax.train import evaluate
from depthjax.train import step as step_lib

_PAPER = (
  'Costanzino et al., "Learning depth estimation for transparent and mirror surfaces", ICCV 2023'
)
_EXAMPLES = 512  # Test scenes, unless eval.examples is set.
_BASE, _SEGMENTER = 'tom-base', 'tom-segmenter'


def _tuned(name: str, arg: str, colours: int = 0, segmenter: str = '') -> Experiment:
  fields = {'data.colours': colours} if colours else {}
  predictor = '' if arg == 'labels=true' else _BASE
  return Experiment(f'tom-{name}', 'tom', fields, predictor, _BASE, arg, segmenter)


_COUNTS = (1, 3, 10)  # Of colours, besides the 5 of the paper.
EXPERIMENTS = {
  experiment.name: experiment
  for experiment in (
    Experiment(_BASE, 'tom', arg='labels=naive'),
    Experiment(_SEGMENTER, 'segment'),
    _tuned('plain', 'labels=plain'),
    _tuned('virtual', 'labels=virtual'),
    _tuned('proxy', 'labels=virtual,masks=segmenter', segmenter=_SEGMENTER),
    _tuned('true', 'labels=true'),
    *(_tuned(f'virtual-{n}', 'labels=virtual', n) for n in _COUNTS),
  )
}


def scores(lab: Lab, name: str, *, labels: bool = False) -> dict[str, np.ndarray]:
  """Scores by metric of metrics.booster, one per test scene that has the class [n].

  They are of an experiment's network, trained if necessary, or of the virtual labels that it is
  trained with, made for the test scenes: painting at test time.

  Raises files.errors.InputError and configuring.ConfigError as Lab.train.
  """
  config = lab.config(name if labels else _BASE)  # All have the same test scenes.
  config = configuring.with_fields(config, {'eval.examples': config.eval.examples or _EXAMPLES})
  runs = list(lab.experiments[name].dependencies.values()) if labels else [name]
  paths = [lab.train(run) for run in runs]
  built, state = evaluate.from_weights(config, paths[0])
  if labels:
    own = lambda _, inputs: built.task.scores(inputs['label'], inputs)  # noqa: E731
    step = functools.partial(step_lib.evaluate_step, task=built.task, function=own)
    built = built._replace(evaluate=built.runner.read(step))
  found, _ = evaluate.examples(built, state, 'test')
  return {metric: x.value[x.weight > 0] for metric, x in found.items()}


_METRICS = ('delta_1.25_tom', 'delta_1.05_tom', 'mae_tom', 'rmse_tom')
_METRICS += ('delta_1.05_other', 'mae_other', 'delta_1.05_all', 'mae_all')
_COLUMNS = ('ToM δ1.25', 'ToM δ1.05', 'ToM MAE', 'ToM RMSE')
_COLUMNS += ('Other δ1.05', 'Other MAE', 'All δ1.05', 'All MAE')
_NONE = (None,) * len(_METRICS)  # Values of the paper where it has none.


def _row(label: str, paper: tuple, name: str, *, labels: bool = False, note: str = '') -> Row:
  def measure(lab: Lab) -> Sequence[np.ndarray]:
    found = scores(lab, name, labels=labels)
    return [found[metric] for metric in _METRICS]

  return Row(label, paper, measure, note)


_PAPERS = 'The paper: DPT-Large, Booster, training on Trans10K and MSD, in mm.'
_DATA = (
  'Ours: held-out scenes of one flat object, often of glass or a mirror, before a flat background, '
  'at depths from 1 to 4; a U-Net of 0.5 M parameters. Disparity is aligned by one scale and shift '
  'over all pixels, as in the paper. Columns of a class are of the scenes that have it.'
)
_BASE_ROW = _row('Base', (92.77, 37.70, 113.14, 136.28, 57.31, 73.19, 56.26, 75.35), _BASE)
TABLE2 = Table(
  Name.TOM_TABLE2,
  'fine-tuning on virtual labels',
  f'{_PAPER}, Table 2',
  _COLUMNS,
  _COLUMNS,
  (
    _BASE_ROW,
    _row('Ft. Base', (92.69, 37.95, 118.84, 141.27, 58.05, 72.45, 56.89, 76.00), 'tom-plain'),
    _row(
      'Ft. Virtual Depth', (96.68, 54.67, 70.68, 83.06, 61.19, 64.70, 60.46, 64.93), 'tom-virtual'
    ),
    _row('Ft. True', _NONE, 'tom-true', note='not in the paper: trained on the true depth'),
  ),
  data=f'{_PAPERS} {_DATA}',
  expected='Ft. Virtual Depth is better than Base on ToM, and not worse on Other; Ft. Base is not.',
  reference='Base',
)
TABLE3 = Table(
  Name.TOM_TABLE3,
  'masks of a segmenter',
  f'{_PAPER}, Table 3',
  _COLUMNS,
  _COLUMNS,
  (
    _BASE_ROW,
    _row(
      'Virtual Depth (Proxy)',
      (89.75, 31.75, 110.74, 123.28, 43.88, 98.64, 43.62, 98.09),
      'tom-proxy',
      labels=True,
      note="labels of test scenes, painted with the segmenter's masks",
    ),
    _row('Virtual Depth (GT)', _NONE, 'tom-virtual', labels=True, note='with true masks'),
    _row('Ft. (GT)', (96.95, 55.49, 67.95, 80.88, 58.93, 65.65, 58.74, 65.52), 'tom-virtual'),
    _row('Ft. (Proxy)', (96.82, 53.74, 70.67, 83.44, 58.40, 66.51, 58.13, 66.43), 'tom-proxy'),
  ),
  data='The paper: as Table 2, trained on the test splits of Trans10K and MSD alone. '
  f'{_DATA} The segmenter was trained on such scenes too.',
  expected='Proxy masks cost little in fine-tuning, but much when painting at test time.',
  reference='Base',
)
COLOURS = Table(
  Name.TOM_COLOURS,
  'number of colours',
  f'{_PAPER}, Table 1, which is not available',
  (),
  _COLUMNS,
  tuple(
    _row(f'N = {n}', (), 'tom-virtual' if n == 5 else f'tom-virtual-{n}', labels=True, note=note)
    for n, note in ((1, 'grey'), (3, ''), (5, ''), (10, ''))
  ),
  data=f'{_DATA} All rows are of labels of the test scenes, painted with true masks.',
  expected='Unknown.',
  reference='N = 5',
)

TABLES = {table.name: table for table in (TABLE2, TABLE3, COLOURS)}
