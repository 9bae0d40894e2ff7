"""`depthjax depth`, and --predictor of other commands: predicted maps, their units and formats."""

import pathlib
import shutil

import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

from depthjax.files import colormaps, images
from depthjax.files import depth as depth_files
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines.refine import refine
from tests import profiles, refiners
from tests.commands import made

_H, _W = 37, 61
_SKY = np.s_[:9]
_VERBS = 'depth', 'refocus --method=classical', 'refine'
_OUT = 'network input 61 x 37 pixels\n'


class _Red(nn.Module):
  """Predicts red as it is, times a factor."""

  factor: float = 100

  def predict(self, image):
    return self.factor * image[..., :1]


# Depth in metres.
_METRIC = Predictor('red', _Red(), _W, output='depth', metric=True, variables={})


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
  """The working folder, with a photograph and weights."""
  photo = np.random.default_rng(0).random((_H, _W, 3), np.float32)
  photo[..., 0] = 0.1 + 0.8 * refiners.smooth(_H, _W)[..., 0]
  photo[_SKY] = 1
  images.write_image('photo.png', photo, bits=16)
  made.save_depth('weights.safetensors')
  monkeypatch.setattr(refine, 'builtin', lambda: refiners.mixing(0.6))
  return tmp_path


@pytest.fixture(name='use')
def fixture_use(monkeypatch):
  """Makes every name that of the metric predictor, with other fields."""

  def use(**fields):
    monkeypatch.setattr(predictors_lib, 'load', lambda which: _METRIC._replace(**fields))

  return use


def _photo():
  return images.read_image('photo.png')


@pytest.mark.parametrize('name, scale', [('out.png', 65535), ('out.npy', 1)])
def test_disparity_is_written_at_the_size_of_the_photograph(run, name, scale):
  code, out, err = run(f'depth photo.png -o {name} --predictor=.')
  assert (err, code) == ('', 0)
  text = 'disparity from 0 to 1 without unit, near is large'
  assert out == f'{name}: {text}; network input 32 x 16 pixels\n'
  expected = depth.predict(_photo(), predictors_lib.load('.'))[..., 0]
  assert expected.shape == (_H, _W)
  np.testing.assert_allclose(depth_files.read_raw(name) / scale, expected, atol=1e-5)


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'tif', 'exr', 'png'])
def test_metric_depth_is_written_in_metres_or_millimetres(run, use, ending):
  use()
  code, out, _ = run(f'depth photo.png -o out.{ending} --preview')
  expected = 100 * _photo()[..., 0]
  text = f'out.{ending}: depth from {expected.min():.4g} to 100 m'
  found = depth_files.read_depth(f'out.{ending}', convention='depth')
  if ending == 'png':
    beyond = 100 * (expected > 65.535).mean()
    text += f', stored in mm, {beyond:.1f} % beyond 65.535 m and clipped'
    np.testing.assert_allclose(found.raw, 1000 * expected.clip(max=65.535), atol=0.51)
  else:
    np.testing.assert_allclose(found.raw, expected, rtol=1e-5)
  assert (code, out) == (0, f'{text}; {_OUT}')
  colours = colormaps.colour(depth_files.normalise(expected, convention='depth').disparity)
  np.testing.assert_allclose(images.read_image('out.preview.png'), colours, atol=0.01)
  if ending == 'exr':  # Z is a distance.
    np.testing.assert_array_equal(depth_files.read_raw('out.exr', channel='Z'), found.raw)


def test_a_map_beyond_the_millimetres_of_a_png_is_refused(refuse, use):
  use(network=_Red(1000))
  refuse('depth photo.png -o out.png', 'out.png: beyond 65.535 m alone; .exr')


def test_metric_disparity_is_written_as_depth(run, use):
  use(output='disparity', network=_Red(1))
  images.write_image('photo.png', 1 - _photo(), bits=16)
  assert run('depth photo.png -o out.npy')[0] == 0
  found = np.load('out.npy')
  assert np.isposinf(found[_SKY]).all()
  np.testing.assert_allclose(found[9:], 1 / _photo()[9:, :, 0], rtol=1e-5)


def test_folders(run, folder):
  pathlib.Path('photos').mkdir()
  for name in ('a.png', 'b.png'):
    shutil.copy('photo.png', f'photos/{name}')
  line = 'depth photos -o out --predictor=. --format=npy --preview'
  code, out, _ = run(line)
  assert code == 0 and out.endswith('\nout: 2 photographs\n')
  names = ['a.npy', 'a.preview.png', 'b.npy', 'b.preview.png']
  assert sorted(path.name for path in folder.glob('out/*')) == names
  pathlib.Path('out/b.preview.png').unlink()
  assert run(f'{line} --resume')[1].endswith('out: 2 photographs, 1 of them existed already\n')
  assert run(f'{line} --resume --quiet')[:2] == (0, '')


@pytest.mark.parametrize(
  'fields', [{}, {'metric': False}, {'metric': False, 'output': 'disparity'}]
)
@pytest.mark.parametrize(
  'line, also',
  [
    ('refocus {} -o {} --method=classical --radius=4 --range=0,90', ''),
    ('refine {} -o {} --align=global', '--predictor=name'),  # For the sharp map.
    ('refine {} -o {} --stages=2 --input-size=128', '--predictor=name'),
  ],
)
def test_a_predicted_map_equals_that_of_a_file(run, use, fields, line, also):
  """Sky, range and units of the prediction are treated as in the file that --save-depth keeps."""
  use(**fields)
  assert run('depth photo.png -o depth.npy')[0] == 0
  code, out, _ = run(f'{line.format("photo.png", "a.tif")} --predictor=name --save-depth=kept.npy')
  assert code == 0 and out.startswith('photo.png: predicted d') and f'; {_OUT}' in out
  assert ('metres' in out) == (not fields and 'refine' in line)
  convention = 'disparity' if fields else 'depth'
  given = line.format('photo.png depth.npy', 'b.tif')
  assert run(f'{given} {also} --convention={convention}')[0] == 0
  same = (('kept.npy', 'depth.npy'), ('a.tif', 'b.tif'))
  assert all(pathlib.Path(a).read_bytes() == pathlib.Path(b).read_bytes() for a, b in same)


def test_maps_of_a_folder_are_kept_in_a_folder(run, use, folder):
  use()
  pathlib.Path('photos').mkdir()
  for name in ('a.png', 'b.png'):
    shutil.copy('photo.png', f'photos/{name}')
  for line in ('refocus photos -o blurred --method=classical', 'refine photos -o refined'):
    assert run(f'{line} --predictor=name --save-depth=maps')[0] == 0
    kept = sorted(path.name for path in folder.glob('maps/*'))
    assert kept == ['a.png', 'b.png'] and depth_files.read_raw('maps/a.png').max() == 65535
    shutil.rmtree('maps')
  # A result is made again if only its map is missing.
  assert run(f'{line} --predictor=name --save-depth=maps --resume')[1].endswith('2 photographs\n')
  assert pathlib.Path('maps/b.png').exists()


@pytest.mark.parametrize('verb', _VERBS)
def test_tiny_photographs_have_depth_unless_they_are_one_pixel(run, refuse, use, verb):
  use(multiple=14)
  for shape in ((3, 5), (2, 40)):
    images.write_image('tiny.png', np.random.default_rng(0).random((*shape, 3)), bits=16)
    assert run(f'{verb} tiny.png -o out.png --predictor=name')[0] == 0
    assert images.read_pixels('out.png').shape[:2] == shape
  images.write_image('one.png', np.ones((1, 1, 3)))
  refuse(f'{verb} one.png -o out.png --predictor=name', 'one.png: the predicted depth is constant;')


_BAD = {
  'depth no.png -o out.png --predictor=.': 'no.png: does not exist; expected',
  'depth photo.png -o out.jpg --predictor=.': "out.jpg: ends in '.jpg'; expected .png",
  'depth photo.png -o out.png --predictor=photo.png': 'photo.png: expected',
  'depth large.png -o a.png --predictor=. --max-megapixels=1': 'large.png: most 1.0 million',
  'depth photo.png -o photo.png --predictor=.': 'photo.png: is one of the inputs;',
  'depth photo.png -o out.png --preview --predictor=.': 'out.preview.png: is a folder;',
}
_SAVED = {
  'photo.png -o out.png --save-depth=out.png': 'out.png: would be both; another --save-depth',
  'photo.png -o out.png --save-depth=photo.png': 'photo.png: is one of the inputs;',
  'photo.png -o out.png --save-depth=maps/a.png': 'maps/a.png: there is no folder maps;',
  'photo.png -o out.png --save-depth=a.jpg': "a.jpg: ends in '.jpg'; expected .png",
  'photos -o out --save-depth=photo.png': 'photo.png: cannot be created;',
  'photos -o out --save-depth=photos': 'photos: is one of the inputs;',
  'photos -o out --save-depth=./out': 'out: is also the output; expected another folder',
}
for _line, _words in _SAVED.items():
  _BAD |= {f'{verb} {_line}': _words for verb in ('refine', 'refocus')}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused_before_any_work(line, refuse, monkeypatch):
  monkeypatch.setattr(depth, 'measure', None)
  monkeypatch.setattr(depth, 'predict', None)
  if 'large' in line:
    images.write_image('large.png', np.zeros((1000, 1001), np.float32))
  for name in ('out.preview.png', 'photos'):
    pathlib.Path(name).mkdir()
  shutil.copy('photo.png', 'photos')
  refuse(line + ' --predictor=name' * ('--predictor' not in line), _BAD[line])


@pytest.mark.parametrize(
  'factor, fields, words',
  [
    (0, {'metric': False}, 'the predicted disparity is constant;'),
    (0, {}, f'the predicted depth has no valid pixel of {_H * _W};'),
    (np.nan, {}, 'the predictor returned NaN or infinite values;'),
    (np.inf, {'metric': False}, 'the predictor returned NaN or infinite values;'),
  ],
)
def test_constant_and_invalid_predictions_are_refused(run, use, factor, fields, words):
  use(network=_Red(factor), **fields)
  right = 'expected another photograph, predictor or a depth map'
  for verb in _VERBS:
    code, _, error = run(f'{verb} photo.png -o out.png --predictor=name')
    assert (code, error) == (2, f'depthjax: photo.png: {words} {right}\n')
    assert not pathlib.Path('out.png').exists()


def test_colours_are_converted_to_srgb_for_the_predictor(run, use):
  """The refocused photograph keeps its colours, unlike the input of the predictor."""
  use()
  pixels = images.quantise(np.random.default_rng(0).random((_H, _W, 3)))
  Image.fromarray(pixels).save('wide.png', icc_profile=profiles.matrix_profile(*profiles.P3))
  assert run('depth wide.png -o depth.npy')[0] == 0
  line = 'refocus wide.png -o out.png --predictor=name --method=classical --save-depth=kept.npy'
  assert run(line)[0] == 0
  assert pathlib.Path('kept.npy').read_bytes() == pathlib.Path('depth.npy').read_bytes()
