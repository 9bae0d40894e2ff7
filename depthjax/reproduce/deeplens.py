"""DeepLens (Wang et al., SIGGRAPH Asia 2018): Tables 1 to 3 and Figures 5 and 12."""

from collections.abc import Callable, Sequence

from depthjax.reproduce.lab import Experiment, Lab
from depthjax.reproduce.names import Name
from depthjax.reproduce.table import NO_WEIGHTS, Row, Table

_PAPER = 'Wang et al., "DeepLens", ACM Transactions on Graphics 37(6), 2018'
_SCENES = (
  'scenes of photographs and procedural textures, split by photograph and seed, rendered through a '
  'lens with occlusion'
)
# Number of feature channels per colour -> widths of the convolutions, in the ratio of the paper's.
_CHANNELS = {5: (3, 3, 3, 3), 8: (6, 6, 6, 3), 16: (15, 15, 9, 6), 32: (30, 30, 18, 15)}

EXPERIMENTS = {
  experiment.name: experiment
  for experiment in (
    Experiment('lensblur', 'lensblur'),
    Experiment('lensblur-l1', 'lensblur', {'loss.kind': 'l1'}),
    Experiment('lensblur-true', 'lensblur', {'render.disparity': 'true'}),
    Experiment(
      'lensblur-predicted',
      'lensblur',
      {'render.disparity': 'predicted'},
      predictor='depth-procedural',
    ),
    *(
      Experiment(f'lensblur-{count}-channels', 'lensblur', {'model.features': widths})
      for count, widths in _CHANNELS.items()
    ),
    Experiment('regression', 'regression'),
    Experiment('aperture', 'aperture'),
    Experiment('depth', 'deeplens_depth'),
    Experiment('depth-alone', 'deeplens_depth', {'loss.segmentation': 0.0}),
    Experiment('depth-procedural', 'deeplens_depth', {'data.photo_source': ''}),
  )
}

_COLUMNS = ('PSNR', 'SSIM', 'PSNR at edges', 'SSIM at edges')
_METRICS = ('psnr', 'ssim', 'psnr_edge', 'ssim_edge')


def _row(
  label: str,
  paper: tuple,
  name: str,
  renderer: str = 'learned',
  predictor: str = '',
  frames: str = '',
  note: str = '',
) -> Row:
  """A row of experiment `name`, by one of its renderers; `predictor`, `frames`: of Lab.scores."""

  def measure(lab: Lab) -> Sequence[float]:
    scores = lab.scores(name, predictor, frames)
    return [scores[f'{metric}/{renderer}'] for metric in _METRICS]

  return Row(label, paper, measure, note)


def _aperture(lab: Lab) -> Sequence[float]:
  """On the scenes of the other rows; the network sees them at its training size."""
  data = lab.config('aperture').data
  size = max(data.height, data.width)
  scores = lab.scores('aperture', frames='lensblur', model__long_side=size)
  return [scores[f'{metric}/learned'] for metric in _METRICS]


def _depth(name: str) -> Callable[[Lab], Sequence[float]]:
  return lambda lab: [lab.scores(name)['mae_spline']]


TABLE1 = Table(
  Name.DEEPLENS_TABLE1,
  'mean absolute error of depth after a 5-knot linear spline',
  f'{_PAPER}, Table 1; in its second column the baselines are trained on its own data',
  ('as published', 'trained on its data'),
  ('MAE',),
  (
    Row('Laina 2016', (0.199, 0.138), None, NO_WEIGHTS),
    Row('MegaDepth 2018', (0.182, 0.142), None, NO_WEIGHTS),
    Row('Aperture supervision', (0.146, None), _depth('aperture')),
    Row('DeepLens', (0.116, None), _depth('depth')),
    Row('DeepLens, no segmentation', (None, None), _depth('depth-alone')),
  ),
  data=f'The paper: 200 RGB-D photographs of a phone, never released. Ours: {_SCENES}. '
  'Our depth network learns the depth of these scenes, not of the real world.',
  expected='Depth supervision better than aperture supervision.',
)

TABLE2 = Table(
  Name.DEEPLENS_TABLE2,
  'shallow depth of field from one image',
  f'{_PAPER}, Table 2',
  ('PSNR', 'SSIM'),
  _COLUMNS,
  (
    _row('Direct regression', (25.84, 0.815), 'regression', frames='lensblur'),
    Row(
      'Aperture supervision',
      (26.88, 0.844),
      _aperture,
      'with its own disparity, not fitted to the truth',
    ),
    _row(
      'MegaDepth + Yang 2016',
      (26.67, 0.836),
      'lensblur',
      'classical',
      'depth',
      note='ours is our depth network with the classical scatter renderer',
    ),
    _row('DeepLens', (28.235, 0.908), 'lensblur', predictor='depth'),
    _row('The photograph, untouched', (None, None), 'lensblur', 'input', 'depth'),
  ),
  data='The paper: renderings by Yang 2016 of 200 RGB-D photographs, never released. Ours: '
  f'{_SCENES}, the same for all rows; disparity predicted by our depth network, fitted in scale '
  'and shift to the truth of each scene. Depth networks see the scenes at their training size.',
  expected='DeepLens best; direct regression worst of the methods.',
)

TABLE3 = Table(
  Name.DEEPLENS_TABLE3,
  'the disparity that blur and upsampling are trained on',
  f'{_PAPER}, Table 3',
  ('PSNR',),
  _COLUMNS,
  (
    _row('Baseline 1: trained on true disparity', (28.038,), 'lensblur-true', predictor='depth'),
    _row('Baseline 2: trained on SynDepth', (28.237,), 'lensblur-predicted', predictor='depth'),
    _row(
      'Baseline 3: trained on and tested with SynDepth',
      (22.380,),
      'lensblur-predicted',
      predictor='depth-procedural',
    ),
    _row('DeepLens: trained on corrupted disparity', (28.235,), 'lensblur', predictor='depth'),
  ),
  data='The paper: as Table 2; RealDepth is trained on photographs, SynDepth on synthetic images. '
  f'Ours: {_SCENES}; RealDepth is our depth network trained on scenes with photographs, SynDepth '
  'one trained on procedural textures alone; both are fitted in scale and shift to the truth.',
  expected='Corrupted about equal to predicted, both better than true disparity; tests with '
  'SynDepth far worse.',
)

FIGURE5 = Table(
  Name.DEEPLENS_FIGURE5,
  'the normalised loss of eq. 4 against a plain L1',
  f'{_PAPER}, Figure 5, a figure without numbers',
  (),
  _COLUMNS,
  (_row('Normalised loss', (), 'lensblur'), _row('L1', (), 'lensblur-l1')),
  data=f'Ours: {_SCENES}; corrupted disparity.',
  expected='The normalised loss better at depth edges.',
)

FIGURE12 = Table(
  Name.DEEPLENS_FIGURE12,
  'number of feature channels per colour',
  f'{_PAPER}, Figure 12, a figure without numbers; quality rises and saturates at 32',
  (),
  _COLUMNS,
  tuple(_row(f'{count} channels', (), f'lensblur-{count}-channels') for count in _CHANNELS),
  data=f'The paper: 500 synthetic images. Ours: {_SCENES}; corrupted disparity.',
  expected='Quality rises with the channels and saturates near 32.',
)

TABLES = {table.name: table for table in (TABLE1, TABLE2, TABLE3, FIGURE5, FIGURE12)}
