"""`depthjax refine`: reads maps, refines them with the pipelines, writes them in their units."""

import pathlib
import shutil

import numpy as np
import pytest

from depthjax.files import colormaps, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import refiners

_H, _W = 72, 104
_MAPS = 'refine --low=low.npy --high=high.pfm'


def _low():
  """Disparity with a missing pixel, [h w]."""
  values = 3 + 5 * refiners.smooth(_H // 2, _W // 2)[..., 0]
  values[4, 7] = np.nan
  return values


def _high():
  noise = np.random.default_rng(0).random((_H, _W), np.float32)
  return 100 * refiners.smooth(_H, _W)[..., 0] + 9 * noise


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  """The working folder: a photograph, low and high maps, and weights; the built-in is a stub."""
  monkeypatch.chdir(tmp_path)
  images.write_image('photo.png', np.random.default_rng(0).random((_H, _W, 3), np.float32))
  np.save('low.npy', _low())
  depth_files.write_depth('high.pfm', _high())
  refiners.save(tmp_path)
  monkeypatch.setattr(refine, 'builtin', _stub)
  return tmp_path


def _stub():
  return refiners.mixing(0.6, 2, 1)


def _filled():
  """The low map as the command reads it: the missing pixel has the value of a neighbour."""
  return depth_files.fill(_low(), np.isfinite(_low()))[..., None]


def _refined(low=None, high=None, net=None, **fields):
  low, high = (_filled() if low is None else low), (_high()[..., None] if high is None else high)
  return refine.refine(low, high, net or _stub(), **fields)


def _assert_wrote(name, expected, tolerance=1e-4):
  found = depth_files.read_raw(name)
  assert found.shape == expected.shape[:2]
  np.testing.assert_allclose(found, expected[..., 0], atol=tolerance * np.ptp(expected))


@pytest.mark.parametrize(
  'options, fields, size',
  [
    ('', {}, 384),
    ('--input-size=256', {'input_size': 256}, 256),
    ('--align=global', {'local': False}, 384),
  ],
)
def test_two_maps_without_a_photograph(run, options, fields, size):
  """The result has the units of the low map and the size of the high one."""
  code, out, _ = run(f'{_MAPS} -o out.pfm {options}')
  _assert_wrote('out.pfm', _refined(**fields), 1e-5)
  assert code == 0 and out == (
    f'out.pfm: {_W} x {_H} pixels, disparity in the units of low.npy; '
    f'network input {size} x {size} pixels\n'
  )


def test_weights_and_ensemble(run):
  assert run(f'{_MAPS} -o out.npy --input-size=128 --ensemble=2 --weights=.')[0] == 0
  _assert_wrote('out.npy', _refined(net=refiners.tiny(), input_size=128, ensemble=2))


def test_png_has_disparity_from_0_to_1_and_the_preview_its_colours(run):
  code, out, _ = run('refine photo.png low.npy -o out.png --high=high.pfm --preview')
  unit = depth_files.to_unit_range(_refined())
  assert code == 0 and 'disparity in [0, 1], near is large' in out
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_wrote('out.png', 65535 * unit)
  colours = images.read_image('out.preview.png')
  np.testing.assert_allclose(colours, colormaps.colour(unit), atol=0.02)


def test_a_photograph_and_its_map(run):
  """The map is low and high map; DEPTH or --low; missing pixels are NaN or --invalid."""
  np.save('marked.npy', np.nan_to_num(_low(), nan=-1))
  expected = _refined(high=_filled(), shape=(_H, _W))
  for line in ('low.npy', '--low=low.npy', 'marked.npy --invalid=-1'):
    assert run(f'refine photo.png {line} -o out.npy')[0] == 0
    _assert_wrote('out.npy', expected)


def test_depth_is_written_as_depth(run):
  """The low map is depth, the high one disparity."""
  np.save('depth.npy', 1 / _low())
  line = 'refine photo.png depth.npy --high=high.pfm --convention=depth'
  line += ' --high-convention=disparity'
  code, out, _ = run(f'{line} -o out.npy')
  expected = _refined()
  _assert_wrote('out.npy', 1 / np.clip(expected, _filled().min(), _filled().max()))
  assert code == 0 and 'depth in the units of depth.npy' in out
  assert run(f'{line} -o out.pfm --scale=unit')[0] == 0
  _assert_wrote('out.pfm', depth_files.to_unit_range(expected))


@pytest.mark.parametrize(
  'options, fields, network_input',
  [
    ('', {}, '384 x 384 pixels and 13 windows'),
    (
      '--levels=3 --input-size=256 --align=global',
      {'levels': 3, 'input_size': 256, 'local': False},
      '256 x 256 pixels and 29 windows',
    ),
  ],
)
def test_two_stages_with_windows_of_the_high_map(run, options, fields, network_input):
  code, out, _ = run(f'{_MAPS} -o out.npy --stages=2 {options}')
  expected = two_stage.refine(_filled(), _high()[..., None], _stub(), settings=Settings(**fields))
  _assert_wrote('out.npy', expected, 1e-5)
  assert code == 0 and out.endswith(f'network input {network_input}\n')


@pytest.fixture
def predictor(monkeypatch):
  """A depth network that returns green, plus more of red at higher resolutions."""

  def predict(photo, net, input_size):
    return photo[..., 1:2] + input_size / 64 * photo[..., :1]

  photo = np.repeat(refiners.smooth(_H, _W), 3, axis=-1)
  photo[..., 0] **= 4
  images.write_image('photo.png', photo, bits=16)
  net = Predictor('net', None, 64)
  monkeypatch.setattr(depth_lib, 'load', lambda path: net)
  monkeypatch.setattr(depth_lib, 'predict', predict)
  return two_stage.of_predictor(net)


def test_a_predictor_makes_the_high_map_and_a_missing_low_map(run, predictor):
  photo = images.read_image('photo.png')
  low, high = (resolutions.predict(predictor, photo, at) for at in (64, 128))
  line = 'refine photo.png {} --predictor=run'
  assert run(line.format('low.npy -o out.npy'))[0] == 0
  _assert_wrote('out.npy', _refined(high=high))
  code, out, _ = run(line.format('-o out.npy'))
  _assert_wrote('out.npy', _refined(low, high), 1e-5)
  assert code == 0 and 'disparity in the units of the prediction' in out
  assert run(line.format('low.npy -o out.npy --stages=2'))[0] == 0
  fields = {'photo': photo, 'predictor': predictor, 'settings': Settings(predictor_size=64)}
  _assert_wrote('out.npy', two_stage.refine(_filled(), high, _stub(), **fields), 1e-5)


def test_folders_with_and_without_photographs(run, folder):
  for name, source in (('photos', 'photo.png'), ('lows', 'low.npy'), ('highs', 'high.pfm')):
    pathlib.Path(name).mkdir()
    for stem in 'ab':
      shutil.copy(source, f'{name}/{stem}{pathlib.Path(source).suffix}')
  assert run('refine photos lows --high=highs -o out --format=npy')[0] == 0
  _assert_wrote('out/b.npy', _refined())
  code, out, _ = run('refine --low=lows --high=highs -o maps')
  assert code == 0 and out.splitlines()[-1] == 'maps: 2 depth maps'
  assert sorted(path.name for path in folder.glob('maps/*')) == ['a.png', 'b.png']


_BAD = {
  'photo.png square.npy -o out.png': 'square.npy: is 36 x 36 pixels but the photo is 104 x 72;',
  '--low=low.npy --high=square.npy -o out.npy': 'square.npy: is 36 x 36 low.npy is 52 x 36;',
  '--low=thin.npy --high=thin.npy -o out.npy': 'low map is 1 x 36 at least 2',
  '--low=low.npy --high=far.npy -o out.npy': 'opposite polarity (rank -1.00); --convention=depth',
  'photo.png low.npy -o out.npy --input-size=200': '--input-size: 200; multiple of 128',
  'photo.png low.npy -o out.png --preview': 'out.preview.png: is a folder;',
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused(line, refuse, monkeypatch):
  np.save('far.npy', 1 / _low())
  np.save('square.npy', _low()[:, :36])
  np.save('thin.npy', _low()[:, :1])
  pathlib.Path('out.preview.png').mkdir()
  if not ('thin' in line or 'far' in line):
    monkeypatch.setattr(refine, 'refine', None)
  refuse(f'refine {line}', _BAD[line])
