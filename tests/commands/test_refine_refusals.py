"""What `depthjax refine` cannot do: one line with exit code 2, and no output."""

import pathlib

import numpy as np
import pytest

from depthjax.commands.work import refine as command
from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.pipelines.refine import refine
from tests import messages, refiners
from tests.commands import made

_H, _W = 36, 52


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  images.write_image('photo.png', np.random.default_rng(0).random((_H, _W, 3), np.float32))
  values = refiners.smooth(_H, _W)[..., 0]
  depth_files.write_depth('map.png', values)
  np.save('far.npy', 1 / (values + 0.1))
  np.save('square.npy', values[:, :_H])
  np.save('thin.npy', values[:, :1])
  np.save('nan.npy', np.full((_H, _W), np.nan))
  depth_files.write_depth('flat.png', np.full((_H, _W), 0.5))
  pathlib.Path('cut.png').write_bytes(pathlib.Path('photo.png').read_bytes()[:-900])
  pathlib.Path('empty').mkdir()
  for name in ('photos', 'maps'):
    pathlib.Path(name).mkdir()
    pathlib.Path(name, 'a.png').write_bytes(pathlib.Path('map.png').read_bytes())
  refiners.save('weights.safetensors')
  refiners.save('other.safetensors', task='lensblur')
  return tmp_path


_OK = 'photo.png map.png -o out.png'
_MAPS = '--low=map.png --high=far.npy -o out.npy'
_BAD = {
  'no input': ('-o out.npy', 'give a photograph and its depth map, or --low and --high'),
  'no output': ('photo.png map.png', "Missing option '--output'"),
  'low without high': ('--low=map.png -o out.npy', 'give a photograph --low and --high'),
  'photograph alone': ('photo.png -o out.npy', 'a photograph needs its depth map, or --predictor'),
  'depth twice': (f'{_OK} --low=map.png', 'DEPTH and --low say the same thing; give one of them'),
  'high twice': (
    f'{_OK} --high=map.png --predictor=run',
    '--high and --predictor the same thing; give one',
  ),
  'predictor without photograph': (f'{_MAPS} --predictor=run', '--predictor'),
  'size of a photograph': (f'{_OK} --size=10x10', '--size is that of the photograph; leave out'),
  'size malformed': (f'{_MAPS} --size=10,10', "--size is '10,10'; rows x columns, such as"),
  'size of nothing': (f'{_MAPS} --size=1x10', '--size is 1x10; at least 2 pixels a side'),
  'size absurd': (f'{_MAPS} --size=99999x99999', '--size is 99999x99999; at most 100 million'),
  'size turned': (
    '--low=map.png --high=map.png -o out.npy --size=52x36',
    '--size is 52x36, rows x columns, as if map.png were turned; 36x52?',
  ),
  'convention of no high map': (f'{_OK} --high-convention=depth', '--high-convention --high'),
  'resolution of no predictor': (f'{_OK} --high-resolution=64', '--high-resolution --predictor'),
  'levels of one stage': (f'{_OK} --levels=3', '--levels is of windows; give --stages=2'),
  'chunk of one stage': (f'{_OK} --chunk=3', '--chunk is of windows; give --stages=2'),
  'adaptive in one stage': (f'{_OK} --adaptive', '--adaptive is of windows; give --stages=2'),
  'adaptive without predictor': (f'{_OK} --adaptive --stages=2', '--adaptive --predictor missing'),
  'alpha alone': (f'{_OK} --alpha=1', '--alpha is that of --adaptive; give both'),
  'alpha negative': (
    'photo.png -o out.png --predictor=run --stages=2 --adaptive --alpha=-1',
    '--alpha is -1; it must be a positive number',
  ),
  'three stages': (f'{_OK} --stages=3', "'--stages'"),
  'no levels': (f'{_OK} --stages=2 --levels=0', "'--levels'"),
  'unknown convention': (f'{_OK} --convention=near', "'--convention': 'near' 'disparity' 'depth'"),
  'side of no multiple': (f'{_OK} --side=200', '--side: the side is 200 pixels; multiple of 128'),
  'no side': (f'{_OK} --side=0', '--side: the side is 0 pixels; multiple of 128'),
  'missing photo': ('no.png map.png -o out.png', 'no.png: does not exist; expected'),
  'truncated photo': ('cut.png map.png -o out.png', 'cut.png: is truncated; complete'),
  'missing depth': ('photo.png no.png -o out.png', 'no.png: does not exist; expected'),
  'missing high': (f'{_OK} --high=no.png', 'no.png: does not exist; expected'),
  'constant depth': ('photo.png flat.png -o out.png', 'flat.png: is constant; vary'),
  'constant high': (f'{_OK} --high=flat.png', 'flat.png: is constant; vary'),
  'all-NaN depth': ('photo.png nan.npy -o out.png', 'nan.npy: no valid pixel; expected'),
  'all depth invalid': (
    'photo.png flat.png -o out.png --invalid=32768',
    'flat.png: no valid pixel',
  ),
  'depth of another size': (
    'photo.png square.npy -o out.png',
    'square.npy: is 36 x 36 pixels but the photo is 52 x 36; expected the size of the photo',
  ),
  'high of another size': (
    '--low=map.png --high=square.npy -o out.npy',
    'square.npy: is 36 x 36 pixels but map.png is 52 x 36; expected the size of map.png',
  ),
  'one pixel wide': ('--low=thin.npy --high=thin.npy -o out.npy', 'low map is 1 x 36 at least 2'),
  'maps that oppose each other': (
    _MAPS,
    'map.png: runs against far.npy (rank correlation -1.00); expected another --convention '
    'than disparity another --high-convention than disparity one of them',
  ),
  'convention of the wrong map': (
    '--low=far.npy --high=far.npy -o out.npy --convention=depth --high-convention=disparity',
    'far.npy: runs against far.npy; another --convention than depth --high-convention disparity',
  ),
  'too small for windows': (
    '--low=map.png --high=map.png -o out.npy --size=23x33 --stages=2',
    'a picture of 33 x 23 pixels cannot be cut into windows of 2 levels',
  ),
  'depths are no folder': (
    'photos map.png -o out',
    'map.png: is not a folder; expected a folder, as the photographs',
  ),
  'highs are no folder': (
    '--low=maps --high=far.npy -o out',
    'far.npy: is not a folder; expected a folder, as the depth maps',
  ),
  'folder without photographs': ('empty maps -o out', 'empty: holds no photograph; expected'),
  'folder without maps': ('--low=empty --high=maps -o out', 'empty: holds no depth map; expected'),
  'output is a folder of maps': (
    '--low=photos --high=maps -o maps',
    'maps: is a folder that is read; expected another folder',
  ),
  'output is a folder': ('photo.png map.png -o empty', 'empty: is a folder; .png'),
  'output folder missing': (
    'photo.png map.png -o no/out.png',
    'no/out.png: there is no folder no; expected an existing folder',
  ),
  'output extension': ('photo.png map.png -o out.jpg', "out.jpg: ends in '.jpg'; expected .png"),
  'own units in a PNG': (
    f'{_OK} --scale=own',
    'out.png: holds values from 0 to 1 only; expected --scale=unit .npy',
  ),
  'own units in PNGs of a folder': (
    'photos maps -o out --scale=own',
    'NAME.png: holds values from 0 to 1 only; expected --scale=unit .npy',
  ),
  'missing weights': (f'{_OK} --weights=no.safetensors', 'no.safetensors: does not exist'),
  'folder without weights': (f'{_OK} --weights=empty', 'empty: is a folder without; expected a'),
  'weights of another task': (
    f'{_OK} --weights=other.safetensors',
    "other.safetensors: weights of the task 'lensblur'; expected 'sddr'",
  ),
  'predictor of another task': (
    f'{_OK} --predictor=weights.safetensors',
    "weights.safetensors: weights of the task 'sddr'; expected 'depth'",
  ),
}


# What the pipelines say. All else is refused before they are asked.
_LATE = ('one pixel wide', 'too small for windows')


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('refined what could not be written')


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  line, words = _BAD[case]
  if '--weights' not in line:
    line += ' --weights=weights.safetensors'
    monkeypatch.setattr(refine, 'load', lambda path: refiners.mixing(0))
  if case not in _LATE:
    monkeypatch.setattr(command.refine_lib, 'refine', _not_to_be_called)
    monkeypatch.setattr(command.two_stage, 'refine', _not_to_be_called)
  before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
  assert made.run(monkeypatch, f'refine {line}') == 2
  messages.assert_one_line(capsys.readouterr().err, words)
  assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_the_weights_that_ship_are_the_default(folder, monkeypatch, capsys):
  """Where they don't, it is said so."""
  monkeypatch.setattr(refine.importlib.resources, 'files', lambda _: folder)
  assert made.run(monkeypatch, f'refine {_OK}') == 2
  words = 'sddr.safetensors: does not come with this version; expected --weights=runs/sddr'
  messages.assert_one_line(capsys.readouterr().err, words)
  pathlib.Path('pretrained').mkdir()
  pathlib.Path('weights.safetensors').rename('pretrained/sddr.safetensors')
  monkeypatch.setattr(refine, 'load', lambda path: refiners.mixing(0))
  assert made.run(monkeypatch, f'refine {_OK}') == 0
