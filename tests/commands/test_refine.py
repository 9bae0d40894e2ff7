"""`depthjax refine`: the pipelines' maps, from files and as files, in their own units."""

import pathlib
import shutil

import numpy as np
import pytest

from depthjax.files import colormaps, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import refiners

_H, _W = 72, 104
_MAPS = 'refine --low=low.npy --high=high.pfm'


def _low():
  """Disparity in units of its own, with a hole, [h w]."""
  values = 3 + 5 * refiners.smooth(_H // 2, _W // 2)[..., 0]
  values[4, 7] = np.nan
  return values


def _high():
  noise = np.random.default_rng(0).random((_H, _W), np.float32)
  return 100 * refiners.smooth(_H, _W)[..., 0] + 9 * noise


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  """The working folder: a photograph, low and high maps, and weights."""
  monkeypatch.chdir(tmp_path)
  images.write_image('photo.png', np.random.default_rng(0).random((_H, _W, 3), np.float32))
  np.save('low.npy', _low())
  depth_files.write_depth('high.pfm', _high())
  refiners.save(tmp_path)
  # A network that needs no training: the command is about files.
  monkeypatch.setattr(refine, 'builtin', _net)
  return tmp_path


def _net():
  return refiners.mixing(0.6, 2, 1)


def _filled():
  """The low map as it is read: the hole has the value of a neighbour."""
  return depth_files.fill(_low(), np.isfinite(_low()))[..., None]


def _refined(low=None, high=None, net=None, **fields):
  low, high = (_filled() if low is None else low), (_high()[..., None] if high is None else high)
  return refine.refine(low, high, net or _net(), **fields)


def _assert_wrote(name, expected, tolerance=1e-4):
  found = depth_files.read_raw(name)
  assert found.shape == expected.shape[:2]
  np.testing.assert_allclose(found, expected[..., 0], atol=tolerance * np.ptp(expected))


@pytest.mark.parametrize(
  'options, fields, side',
  [
    ('', {}, 384),
    ('--size=90x70', {'shape': (90, 70)}, 384),
    ('--side=256', {'side': 256}, 256),
    ('--align=whole', {'local': False}, 384),
  ],
)
def test_two_maps_without_a_photograph(run, options, fields, side):
  """In the units of the low map, at the size of the high one."""
  code, out, _ = run(f'{_MAPS} -o out.pfm {options}')
  expected = _refined(**fields)
  h, w = expected.shape[:2]
  _assert_wrote('out.pfm', expected, 1e-5)
  assert code == 0 and out == (
    f'out.pfm: {w} x {h} pixels, disparity in the units of low.npy; '
    f'the network saw {side} x {side} pixels\n'
  )


def test_a_trained_network_is_loaded_and_an_ensemble_asked_for(run):
  assert run(f'{_MAPS} -o out.npy --side=128 --ensemble=2 --weights=.')[0] == 0
  _assert_wrote('out.npy', _refined(net=refiners.tiny(), side=128, ensemble=2))


def test_sixteen_bits_hold_disparity_from_0_to_1_and_a_preview_its_colours(run):
  code, out, _ = run('refine photo.png low.npy -o out.png --high=high.pfm --preview')
  unit = maps.unit(_refined(), '').values
  assert code == 0 and 'disparity from 0 to 1, near is large' in out
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_wrote('out.png', 65535 * unit)
  colours = images.read_image('out.preview.png')
  np.testing.assert_allclose(colours, colormaps.colour(unit), atol=0.02)


def test_one_map_is_low_and_high_at_once(run):
  """At the photograph's size, as an argument or as an option; a value can mark what is missing."""
  np.save('marked.npy', np.nan_to_num(_low(), nan=-1))
  expected = _refined(high=_filled(), shape=(_H, _W))
  for line in ('low.npy', '--low=low.npy', 'marked.npy --invalid=-1'):
    assert run(f'refine photo.png {line} -o out.npy')[0] == 0
    _assert_wrote('out.npy', expected)


def test_depth_stays_depth(run):
  """Far is large in the low map, in metres, and near in the high one."""
  np.save('depth.npy', 1 / _low())
  line = 'refine photo.png depth.npy --high=high.pfm --convention=depth'
  line += ' --high-convention=disparity'
  code, out, _ = run(f'{line} -o out.npy')
  expected = _refined()
  _assert_wrote('out.npy', 1 / np.clip(expected, _filled().min(), _filled().max()))
  assert code == 0 and 'depth in the units of depth.npy' in out
  assert run(f'{line} -o out.pfm --scale=unit')[0] == 0
  _assert_wrote('out.pfm', maps.unit(expected, '').values)


@pytest.mark.parametrize(
  'options, fields', [('', {}), ('--levels=3 --side=256 --align=whole', {'levels': 3, 'side': 256})]
)
def test_two_stages_on_windows_of_a_stored_map(run, options, fields):
  code, out, _ = run(f'{_MAPS} -o out.npy --stages=2 {options}')
  settings = Settings(**fields, local=not fields)
  expected = two_stage.refine(_filled(), _high()[..., None], _net(), settings=settings)
  _assert_wrote('out.npy', expected, 1e-5)
  said = '256 x 256 pixels and 29 windows' if fields else '384 x 384 pixels and 13 windows'
  assert code == 0 and out.endswith(f'saw {said}\n')


@pytest.fixture
def net(monkeypatch):
  """A depth net that sees the green of a photograph; the finer it looks, the more of the red."""

  def predict(photo, net, input_size):
    return photo[..., 1:2] + input_size / 64 * photo[..., :1]

  photo = np.repeat(refiners.smooth(_H, _W), 3, axis=-1)
  photo[..., 0] **= 4
  images.write_image('photo.png', photo, bits=16)
  net = Predictor('net', None, 64)
  monkeypatch.setattr(depth_lib, 'load', lambda path: net)
  monkeypatch.setattr(depth_lib, 'predict', predict)
  return two_stage.of_predictor(net)


def test_a_predictor_sees_the_sharp_map_and_the_other_where_none_is_given(run, net):
  photo = images.read_image('photo.png')
  low, high = (resolutions.predict(net, photo, at) for at in (64, 128))
  line = 'refine photo.png {} --predictor=run'
  assert run(line.format('low.npy -o out.npy'))[0] == 0
  _assert_wrote('out.npy', _refined(high=high))
  code, out, _ = run(line.format('-o out.npy'))
  _assert_wrote('out.npy', _refined(low, high), 1e-5)
  assert code == 0 and 'disparity in the units of the prediction' in out
  assert run(line.format('low.npy -o out.npy --stages=2'))[0] == 0
  fields = {'photo': photo, 'predictor': net, 'settings': Settings(input_size=64)}
  _assert_wrote('out.npy', two_stage.refine(_filled(), high, _net(), **fields), 1e-5)


def _fill(name, **files):
  pathlib.Path(name).mkdir()
  for stem, source in files.items():
    shutil.copy(source, f'{name}/{stem}{pathlib.Path(source).suffix}')


def test_folders_but_for_what_cannot_be(run, folder):
  depth_files.write_depth('depth.pfm', 1 / _high())
  _fill('photos', a='photo.png', b='photo.png')
  _fill('lows', a='low.npy', b='low.npy')
  _fill('highs', a='high.pfm', b='depth.pfm')
  code, out, error = run('refine photos lows --high=highs -o out --format=npy')
  assert [path.name for path in folder.glob('out/*')] == ['a.npy']
  _assert_wrote('out/a.npy', _refined())
  assert code == 2 and len(out.splitlines()) == 1
  assert 'lows/b.npy: runs against highs/b.pfm' in error and '1 of 2 photographs' in error
  shutil.copy('high.pfm', 'highs/b.pfm')
  code, out, _ = run('refine --low=lows --high=highs -o maps')  # Without any photograph.
  assert code == 0 and out.splitlines()[-1] == 'maps: 2 depth maps'
  assert sorted(path.name for path in folder.glob('maps/*')) == ['a.png', 'b.png']


# Files that are bad, or fit neither each other nor the options.
_BAD = {
  'photo.png square.npy -o out.png': 'square.npy: is 36 x 36 pixels but the photo is 104 x 72;',
  '--low=low.npy --high=square.npy -o out.npy': 'square.npy: is 36 x 36 low.npy is 52 x 36;',
  '--low=thin.npy --high=thin.npy -o out.npy': 'low map is 1 x 36 at least 2',
  '--low=low.npy --high=high.pfm -o out.npy --size=52x36': (
    '--size is 52x36, rows x columns, as if low.npy were turned; 36x52?'
  ),
  '--low=low.npy --high=far.npy -o out.npy': (
    'low.npy: runs against far.npy (rank correlation -1.00); expected another --convention '
    'than disparity another --high-convention than disparity one of them'
  ),
  'photo.png low.npy -o out.npy --side=200': '--side: the side is 200 pixels; multiple of 128',
  'photo.png low.npy -o out.png --preview': 'out.preview.png: is a folder;',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_is_one_line_and_no_output(line, refuse, monkeypatch):
  np.save('far.npy', 1 / _low())
  np.save('square.npy', _low()[:, :36])
  np.save('thin.npy', _low()[:, :1])
  pathlib.Path('out.preview.png').mkdir()
  if 'thin' not in line:
    monkeypatch.setattr(refine, 'refine', None)
  refuse(f'refine {line}', _BAD[line])
