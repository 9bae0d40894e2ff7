"""`depthjax refine`: reads maps, refines them with the pipelines, writes them in their units."""

import pathlib
import shutil

import cv2
import numpy as np
import pytest

from depthjax.files import colormaps, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import maps, predictors
from depthjax.pipelines.refine import refine, resolutions, two_stage
from depthjax.pipelines.refine.two_stage import Settings
from tests import portraits, refiners

_H, _W = 72, 104
_MAPS = 'refine --low=low.npy --high=high.pfm'


# Disparity [h w] with a missing pixel.
_LOW = 3 + 5 * refiners.smooth(_H // 2, _W // 2)[..., 0]
_LOW[4, 7] = np.nan
# The same as the command reads it: the missing pixel has the value of a neighbour.
_FILLED = depth_files.fill(_LOW, np.isfinite(_LOW))[..., None]
_HIGH = 100 * refiners.smooth(_H, _W) + 9 * np.random.default_rng(0).random((_H, _W, 1), np.float32)
_STUB = refiners.mixing(0.6, 2, 1)


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
  """The working folder: a photograph, low and high maps, and weights; the built-in is a stub."""
  images.write_image('photo.png', np.random.default_rng(0).random((_H, _W, 3), np.float32))
  np.save('low.npy', _LOW)
  depth_files.write_depth('high.pfm', _HIGH)
  refiners.save(tmp_path)
  monkeypatch.setattr(refine, 'builtin', lambda: _STUB)
  return tmp_path


def _refined(low=_FILLED, high=_HIGH, net=_STUB, **fields):
  return refine.refine(low, high, net, **fields)


def _unit(refined, low=_FILLED):
  """Refined disparity relative to the range of the low map."""
  return np.clip((refined - low.min()) / np.ptp(low), 0, 1)


def _assert_wrote(name, expected, tolerance=1e-4):
  found = depth_files.read_raw(name)
  assert found.shape == expected.shape[:2]
  np.testing.assert_allclose(found, expected[..., 0], atol=tolerance * np.ptp(expected))


@pytest.mark.parametrize(
  'options, fields, size',
  [
    ('', {}, 384),
    ('--align=global', {'local': False}, 384),
    ('--input-size=128 --ensemble=2 --weights=.', {'input_size': 128, 'ensemble': 2}, 128),
  ],
)
def test_two_maps_without_a_photograph(run, options, fields, size):
  """The result has the units of the low map and the size of the high one."""
  code, out, _ = run(f'{_MAPS} -o out.pfm {options}')
  net = refiners.tiny() if 'weights' in options else _STUB
  _assert_wrote('out.pfm', _refined(net=net, **fields), 1e-4)
  values = f'{_W} x {_H} pixels, disparity in the units of low.npy'
  missing = '0.1 % missing and filled (nearest valid)'
  assert code == 0 and out.splitlines() == [
    f'low.npy: disparity from 3.00176 to 7.99824, {missing}',
    f'high.pfm: disparity from {_HIGH.min():.6g} to {_HIGH.max():.6g}',
    f'out.pfm: {values}; network input {size} x {size} pixels',
  ]


def test_png_has_disparity_from_0_to_1_and_the_preview_its_colours(run):
  code, out, _ = run('refine photo.png low.npy -o out.png --high=high.pfm --preview')
  unit = _unit(_refined())
  assert code == 0 and 'disparity in [0, 1], near is large' in out
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_wrote('out.png', 65535 * unit)
  colours = images.read_image('out.preview.png')
  np.testing.assert_allclose(colours, colormaps.colour(unit), atol=0.02)


def test_a_photograph_and_its_map(run):
  """The map is low and high map; DEPTH or --low; missing pixels are NaN or --invalid."""
  np.save('marked.npy', np.nan_to_num(_LOW, nan=-1))
  expected = _refined(high=_FILLED, shape=(_H, _W))
  for line in ('low.npy', '--low=low.npy', 'marked.npy --invalid=-1'):
    assert run(f'refine photo.png {line} -o out.npy')[0] == 0
    _assert_wrote('out.npy', expected)


def test_depth_is_written_as_depth(run):
  """The low map is depth, the high one disparity."""
  np.save('depth.npy', 1 / _LOW)
  line = 'refine photo.png depth.npy --high=high.pfm --convention=depth --high-convention=disparity'
  code, out, _ = run(f'{line} -o out.npy')
  expected = _refined()
  _assert_wrote('out.npy', 1 / np.clip(expected, _FILLED.min(), _FILLED.max()))
  assert code == 0 and 'depth in the units of depth.npy' in out
  assert run(f'{line} -o out.pfm --scale=unit')[0] == 0
  assert run(f'{line} -o out.exr')[0] == 0
  np.testing.assert_array_equal(depth_files.read_raw('out.exr', channel='Z'), np.load('out.npy'))
  _assert_wrote('out.pfm', _unit(expected))


@pytest.mark.parametrize('sky, edge', [(np.inf, 33), (1e10, 39)])
def test_the_sky_stays_infinitely_far_up_to_the_refined_edges(run, sky, edge):
  """The low map has half of the resolution and its edge at row 36, the high map another."""
  rows, near = np.arange(_H)[:, None], 0.3 + 0.7 * refiners.smooth(_H, _W)[..., 0]
  noise = 0.06 * np.random.default_rng(0).random((_H, _W))
  z = np.where(rows < 36, sky, 2 / near).astype(np.float32)[::2, ::2]
  z[4, 7:9] = np.nan, 0  # Missing; the nearest valid pixels are of the sky.
  np.save('sky.npy', z)
  np.save('high.npy', np.where(rows < edge, noise, near))
  line = 'refine --low=sky.npy --high=high.npy --high-convention=disparity --align=global'
  line += ' --convention=depth'
  code, out, _ = run(f'{line} -o out.npy')
  assert code == 0 and 'sky.npy: depth from 2.0' in out and '49.9 % infinitely far;' in out
  found = np.load('out.npy')
  assert (found[: edge - 1] == np.float32(sky)).all() and (found[edge + 1 :] < 40).all()
  assert run(f'{line} -o out.png')[0] == 0
  assert not depth_files.read_raw('out.png')[: edge - 1].any()


def test_inverted_maps_are_written_inverted(run):
  np.save('far.npy', 255 - 10 * _LOW)
  assert run('refine --low=far.npy --high=high.pfm -o out.npy --convention=inverted')[0] == 2
  line = 'refine photo.png far.npy -o out.npy --convention=inverted'
  assert run(line)[0] == 0
  _assert_wrote('out.npy', 255 - 10 * _refined(high=_FILLED, shape=(_H, _W)))


@pytest.mark.parametrize('bits', [8, 16])
def test_png_keeps_the_fraction_of_full_scale_of_a_png(run, bits):
  low = 0.1 + 0.5 * _unit(_FILLED)
  levels = np.rint(low[..., 0] * (2**bits - 1)).astype(f'uint{bits}')
  cv2.imwrite('low.png', levels)
  code, out, _ = run('refine photo.png low.png -o out.png')
  assert code == 0 and 'disparity as a fraction of full scale, as in low.png;' in out
  same = levels[..., None] / np.float32(2**bits - 1)
  _assert_wrote('out.png', 65535 * _refined(same, same, shape=(_H, _W)))
  assert run('refine photo.png low.png -o out.png --scale=unit')[0] == 0
  _assert_wrote('out.png', 65535 * _unit(_refined(same, same, shape=(_H, _W)), same))


def test_a_square_map_is_stretched_to_the_photograph(run):
  np.save('square.npy', _LOW[:, : _H // 2])
  assert run('refine photo.png square.npy -o out.npy --stretch --quiet')[:2] == (0, '')
  low = maps.resized(_FILLED[:, : _H // 2], (_H // 2, _W // 2))
  _assert_wrote('out.npy', _refined(low, low, shape=(_H, _W)))
  assert run('refine photo.png square.npy --high=high.pfm -o out.npy --stretch')[0] == 0
  _assert_wrote('out.npy', _refined(low))


def test_two_stages_with_windows_of_the_high_map(run):
  for options, settings, network_input in (
    ('', Settings(), '384 x 384 pixels and 13 windows'),
    ('--levels=3 --input-size=256', Settings(3, input_size=256), '256 x 256 pixels and 29 windows'),
  ):
    code, out, _ = run(f'{_MAPS} -o out.npy --stages=2 {options}')
    _assert_wrote('out.npy', two_stage.refine(_FILLED, _HIGH, _STUB, settings=settings), 1e-5)
    assert code == 0 and out.endswith(f'network input {network_input}\n')


def test_a_predictor_makes_the_high_map_and_a_missing_low_map(run, monkeypatch):
  """It returns green, plus more of red at higher resolutions."""

  def predict(photo, _, size):
    return depth_files.to_unit_range(photo[..., 1:2] + (size or 64) / 64 * photo[..., :1])

  monkeypatch.setattr(predictors, 'load', lambda which: Predictor('net', None, 64))
  monkeypatch.setattr(depth_lib, 'predict', predict)
  predictor = two_stage.of_predictor(None)
  images.write_image('photo.png', refiners.smooth(_H, _W) ** [4, 1, 1], bits=16)
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
  _assert_wrote('out.npy', two_stage.refine(_FILLED, high, _STUB, **fields), 1e-5)


def test_folders_with_and_without_photographs(run, folder):
  for source in ('photo.png', 'low.npy', 'high.pfm'):
    name, _, ending = source.partition('.')
    pathlib.Path(f'{name}s').mkdir()
    for stem in 'ab':
      shutil.copy(source, f'{name}s/{stem}.{ending}')
  assert run('refine photos lows --high=highs -o out --format=npy')[0] == 0
  _assert_wrote('out/b.npy', _refined())
  code, out, _ = run('refine --low=lows --high=highs -o maps')
  assert code == 0 and out.splitlines()[-1] == 'maps: 2 depth maps'
  assert sorted(path.name for path in folder.glob('maps/*')) == ['a.png', 'b.png']


def test_depth_inside_the_photograph_and_channels_of_other_maps(run):
  """The map inside is depth, whatever --convention says."""
  depth = 1 / (0.25 + refiners.smooth(_H, _W)[..., 0])
  levels = np.rint(65535 * (depth - 0.5) / 4.5).astype(np.uint16)
  fields = {'Format': 'RangeLinear', 'Near': 0.5, 'Far': 5, 'Data': portraits.encoded(levels)}
  portraits.save(pathlib.Path('a.jpg'), (_H, _W), portraits.packet(**fields))
  np.savez('high.npz', a=_HIGH, b=1 - _HIGH)
  code, out, _ = run('refine a.jpg embedded --high=high.npz --channel=a -o out.npy')
  assert code == 0 and 'depth in the units of a.jpg' in out
  low = 1 / (0.5 + 4.5 * levels / 65535)
  expected = _refined(((low - low.min()) / np.ptp(low)).astype(np.float32)[..., None])
  _assert_wrote('out.npy', 1 / (np.clip(expected, 0, 1) * np.ptp(low) + low.min()), 1e-3)


_BAD = {
  'photo.png square.npy -o out.png': 'square.npy: is 36 x 36 pixels but the photo is 104 x 72;',
  '--low=low.npy --high=square.npy -o out.npy': 'square.npy: is 36 x 36 low.npy is 52 x 36;',
  '--low=low.npy --high=far.npy -o out.npy': 'opposite polarity (rank -1.00); --convention=depth',
  'photo.png low.npy -o out.npy --input-size=200': '--input-size: 200; multiple of 128',
  'photo.png low.npy -o low.npy': 'low.npy: is one of the inputs;',
  'x.preview.png low.npy -o x.png --preview': 'x.preview.png: is one of the inputs;',
  'large.png low.npy -o out.png --max-megapixels=1': 'large.png: is 1001 x 1000 most 1.0',
  'photo.png large.png -o out.npy --max-megapixels=1': 'large.png: is 1001 x 1000 most 1.0',
  'photo.png low.npy -o photo.png': 'photo.png: is one of the inputs;',
  'photo.png low.npy -o out.png --preview': 'out.preview.png: is a folder;',
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused(line, refuse, monkeypatch):
  np.save('far.npy', 1 / _LOW)
  np.save('square.npy', _LOW[:, :36])
  pathlib.Path('out.preview.png').mkdir()
  shutil.copy('photo.png', 'x.preview.png')
  if 'large' in line:
    images.write_image('large.png', np.zeros((1000, 1001), np.float32))
  if 'far' not in line:  # Only the pipeline finds the opposite polarity.
    monkeypatch.setattr(refine, 'refine', None)
  refuse(f'refine {line}', _BAD[line])
