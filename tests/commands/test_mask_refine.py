"""`depthjax mask-refine`: reads maps and masks, refines by the pipelines, writes in their units."""

import pathlib
import shutil
import sys
import types
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from scipy import ndimage

from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors
from depthjax.pipelines.mask_refine import fill, learned, masks
from tests import refiners
from tests.commands import made

_H, _W = 96, 128
_MASK, _FAR = np.zeros((2, _H, _W, 1), np.float32)
cv2.circle(_MASK, (60, 50), 28, 1.0, -1)
cv2.rectangle(_FAR, (70, 10), (110, 60), 1.0, -1)
# Disparity in [0.2, 0.8] whose edge is blurred.
_TRUTH = np.where(_MASK > 0, 0.6, 0.2) + 0.2 * refiners.smooth(_H, _W)
_DEPTH = cv2.GaussianBlur(_TRUTH.astype(np.float32), (0, 0), 1.0)[..., None]
_FILLED = fill.refine(_DEPTH, _MASK)
_LINE = 'mask-refine photo.png depth.npy mask.png'
_FILL = f'{_LINE} --method=fill -o out.npy'


class _Planes(NamedTuple):
  """A stub network: two planes, which depend on all inputs."""

  def apply(self, variables, image, disparity, mask):
    inside = variables['scale'] * disparity + 0.3 * image[..., :1]
    return inside, 0.2 * mask + 0 * image[..., :1]


_STUB = learned.Network(_Planes(), {'scale': np.float32(0.5)}, 128)


@pytest.fixture(autouse=True)
def folder(run, tmp_path, monkeypatch):
  """The working folder: a photograph of twice the size, its depth map and masks."""
  images.write_image('photo.png', np.random.default_rng(0).random((2 * _H, 2 * _W, 3), np.float32))
  np.save('depth.npy', _DEPTH)
  for name, mask in {'mask': _MASK, 'far': _FAR, 'around': 1 - _MASK}.items():
    images.write_image(f'{name}.png', mask)
  monkeypatch.setattr(learned, 'builtin', lambda: _STUB)
  return tmp_path


def test_values_have_the_units_of_the_map_and_only_the_border_changes(run):
  """In all conventions; missing pixels are filled."""
  for convention, convert in (
    ('disparity', lambda x: 700 * x - 90),
    ('depth', lambda x: 3 / x),
    ('inverted', lambda x: 255 - 90 * x),
  ):
    given = convert(_DEPTH)
    given[3, 4] = np.nan
    np.save('depth.npy', given)
    code, out, error = run(f'{_FILL} --convention={convention}')
    assert (code, error) == (0, '')
    assert out.endswith(f'out.npy: 128 x 96 pixels, {convention} in the units of depth.npy\n')
    found, expected = np.load('out.npy')[..., None], convert(_FILLED)
    expected[3, 4] = depth_files.fill(given[..., 0], np.isfinite(given[..., 0]))[3, 4]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    same = (_FILLED == _DEPTH) & np.isfinite(given)
    np.testing.assert_array_equal(found[same], given[same])
    assert 0.5 < same.mean() < 0.98


@pytest.mark.parametrize('kind', ['uint8', 'uint16'])
@pytest.mark.parametrize('convention', ['disparity', 'depth'])
def test_png_keeps_its_fraction_of_full_scale(run, kind, convention):
  most = np.iinfo(kind).max
  levels = np.rint(_DEPTH * most).astype(kind)
  images_of = {'disparity': levels, 'depth': most - levels + 1}
  cv2.imwrite('depth.png', images_of[convention])
  line = _LINE.replace('.npy', '.png')
  code, out, _ = run(f'{line} --method=fill --convention={convention} -o out.png --preview')
  assert code == 0 and f'{convention} as a fraction of full scale, as in depth.png' in out
  expected = fill.refine(images_of[convention].astype(np.float32), _MASK)
  found = images.read_pixels('out.png')
  assert found.dtype == np.uint16 and pathlib.Path('out.preview.png').exists()
  np.testing.assert_array_equal(found, expected[..., 0] * (65535 / most))


@pytest.mark.parametrize('sky', [np.inf, 1e10])
def test_the_sky_ends_at_the_mask(run, sky):
  """The map sees the object one pixel too far to the right."""
  moved = np.roll(_MASK, 1, axis=1)[..., 0]
  np.save('depth.npy', np.where(moved > 0, 2 + refiners.smooth(_H, _W)[..., 0], sky))
  for options in ('--method=fill', ''):
    assert run(f'{_LINE} -o out.npy --convention=depth {options}')[0] == 0
    np.testing.assert_array_equal(np.load('out.npy') == np.float32(sky), _MASK[..., 0] == 0)


@pytest.mark.parametrize(
  'options', ['', '--soft', pytest.param('--weights=net.safetensors', marks=pytest.mark.slow)]
)
def test_the_network_is_the_default(run, options):
  network = _STUB
  if 'weights' in options:
    made.save_layered('net.safetensors')
    network = learned.load('net.safetensors')
  soft = options == '--soft'
  grey = cv2.GaussianBlur(_MASK, (0, 0), 1)[..., None] if soft else _MASK
  np.save('mask.npy', grey)
  assert run(f'mask-refine photo.png depth.npy mask.npy -o out.exr {options}')[0] == 0
  photo, unit = images.read_image('photo.png'), depth_files.to_unit_range(_DEPTH)
  expected = np.clip(
    masks.composite(learned.layers(photo, unit, grey, network), grey, soft=soft), 0, 1
  )
  expected = _DEPTH.min() + np.ptp(_DEPTH) * expected
  found = depth_files.read_raw('out.exr', channel='Y')[..., None]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert np.abs(expected - _FILLED).max() > 0.01


def test_several_masks_by_files_and_by_rembg(run, monkeypatch):
  """The farthest first; rembg returns the mask at the size of the photograph."""
  expected = fill.refine(fill.refine(_DEPTH, _FAR), _MASK)
  assert run(f'{_FILL} --mask=far.png')[0] == 0
  np.testing.assert_allclose(np.load('out.npy')[..., None], expected, atol=1e-6)

  def remove(photo, session, only_mask):
    assert session == 'isnet-general-use' and only_mask and photo.dtype == np.uint8
    return np.kron(_MASK[..., 0] > 0, np.full((2, 2), 255, np.uint8))

  fake = types.SimpleNamespace(new_session=lambda name: name, remove=remove)
  monkeypatch.setitem(sys.modules, 'onnxruntime', types.SimpleNamespace())
  monkeypatch.setitem(sys.modules, 'rembg', fake)
  for given in ('--mask=auto --mask=far.png', 'auto --mask=far.png', 'far.png --mask=auto'):
    assert run(f'mask-refine photo.png depth.npy {given} --method=fill -o auto.npy')[0] == 0
    np.testing.assert_array_equal(np.load('auto.npy'), np.load('out.npy'))


def test_a_mask_of_the_farther_side_is_said_and_inverted(run):
  assert run(_FILL)[2] == ''
  expected = np.load('out.npy')
  line = _FILL.replace('mask.png', 'around.png')
  for options, words in (('', 'give --invert\n'), (' --invert', '')):
    code, _, error = run(f'{line}{options}')
    assert code == 0 and error.endswith(words) and error.count('\n') == (words != '')
    assert not error or error.startswith('depthjax: around.png: marks the farther side')
    np.testing.assert_array_equal(np.load('out.npy'), expected)
  assert run(f'{_FILL} --invert')[2].endswith('omit --invert\n')


def test_a_map_of_another_aspect_ratio_keeps_its_size_if_it_is_stretched(run):
  """The mask has the aspect ratio of the photograph."""
  np.save('depth.npy', cv2.resize(_DEPTH, (_H, _H)))
  assert run(f'{_FILL} --stretch')[0] == 0
  small = masks.checked(_MASK, (_H, _H), photo=(_H, _W))
  expected = fill.refine(np.load('depth.npy')[..., None], small)
  np.testing.assert_allclose(np.load('out.npy')[..., None], expected, atol=1e-6)


def test_a_predicted_map_is_refined_at_the_size_of_the_photograph(run, monkeypatch):
  large = np.kron(_DEPTH, np.ones((2, 2, 1), np.float32))
  monkeypatch.setattr(predictors, 'load', lambda which: Predictor('net', None, 64))
  monkeypatch.setattr(depth_lib, 'predict', lambda *_: depth_files.to_unit_range(large))
  line = 'mask-refine photo.png --mask=mask.png --predictor=run --method=fill --save-depth=low.png'
  code, out, _ = run(f'{line} -o out.png')
  assert code == 0 and 'out.png: disparity from 0 to 1 without unit' in out
  low, found = (images.read_pixels(name) for name in ('low.png', 'out.png'))
  big = np.kron(_MASK, np.ones((2, 2, 1), np.float32))
  border = ndimage.binary_dilation(big[..., 0] > 0) != ndimage.binary_erosion(big[..., 0] > 0)
  expected = fill.refine(low.astype(np.float32)[..., None], masks.checked(_MASK, low.shape))
  np.testing.assert_allclose(found[~border], expected[..., 0][~border], atol=1)
  assert found.shape == (2 * _H, 2 * _W) and (found != low).any()


def test_folders(run, folder):
  """Masks are NAME or NAME_mask, also in the folder of photographs and maps."""
  assert run(_FILL)[0] == 0
  files = {'photo.png': 'photos/{}.png', 'depth.npy': 'maps/{}.npy', 'mask.png': 'masks/{}.png'}
  mixed = {'photo.png': 'all/{}.jpg', 'depth.npy': 'all/{}.npy', 'mask.png': 'all/{}_mask.png'}
  for names in (files, mixed):
    for source, target in names.items():
      pathlib.Path(target).parent.mkdir(exist_ok=True)
      for stem in 'ab':
        shutil.copy(source, target.format(stem))
  shutil.move('masks/b.png', 'masks/b-mask.png')
  lines = ('photos maps masks', 'photos maps --mask=masks', 'all all all', 'all all masks')
  for number, line in enumerate(lines):
    line = f'mask-refine {line} --method=fill --format=npy -o out{number}'
    code, out, _ = run(line)
    assert code == 0 and out.endswith(f'out{number}: 2 photographs\n')
    for stem in 'ab':
      np.testing.assert_array_equal(np.load(f'out{number}/{stem}.npy'), np.load('out.npy'))
  pathlib.Path('masks/b-mask.png').unlink()
  code, _, error = run('mask-refine photos maps masks --method=fill --format=npy -o out5')
  assert code == 2 and 'photos/b.png: has no mask; expected masks/b ending in .npy, .png' in error
  assert error.endswith('1 of 2 photographs failed, 1 of them without a depth map or mask\n')


_BAD = {
  'depth.npy missing.png -o out.npy': 'missing.png: does not exist;',
  'depth.npy photo.png -o out.npy': 'photo.png: has three channels that differ;',
  'depth.npy empty.npy -o out.npy': 'empty.npy: is empty: none; both sides',
  'depth.npy empty.npy -o out.npy --invert': 'empty.npy: is full: all; both sides',
  'depth.npy nan.npy -o out.npy': 'nan.npy: has NaN; values in [0, 1]',
  'depth.npy square.npy -o out.npy': 'square.npy: is 40 x 40 pixels but the photo is 256 x 192;',
  'square.npy mask.png -o out.npy': 'square.npy: is 40 x 40 pixels but the photo; or --stretch',
  'empty.npy mask.png -o out.npy': 'empty.npy: is constant;',
  'large.npy mask.png -o out.png': 'out.png: would hold values; name ending in .npy',
  'depth.npy mask.png -o mask.png': 'mask.png: is one of the inputs;',
  'depth.npy mask.png -o out.npy --weights=sddr': "'sddr'; expected weights of the task 'layered'",
  'depth.npy . -o out.npy': '.: is a folder; expected a file',
  'depth.npy auto -o out.npy': "--mask=auto: needs rembg; pip install 'depthjax[mask]'",
  'depth.npy large.npy -o out.npy': 'large.npy: has values from 140 to; expected values in [0, 1]',
}


@pytest.mark.parametrize('line', _BAD)
def test_bad_input_is_refused(line, refuse, monkeypatch):
  monkeypatch.setitem(sys.modules, 'rembg', None)
  nan, square = _MASK.copy(), np.arange(1600).reshape(40, 40) / 1600
  nan[0, 0] = np.nan
  arrays = {'nan': nan, 'empty': 0 * _MASK, 'square': square, 'large': 700 * _DEPTH}
  for name, array in arrays.items():
    np.save(f'{name}.npy', array)
  pathlib.Path('sddr').mkdir()
  refiners.save('sddr/weights.safetensors')
  refuse(f'mask-refine photo.png --quiet {line}', _BAD[line])


def test_a_model_of_rembg_that_cannot_be_loaded_is_one_line(refuse, monkeypatch):
  def fail(name):
    raise OSError('no network')

  monkeypatch.setitem(sys.modules, 'onnxruntime', types.SimpleNamespace())
  monkeypatch.setitem(sys.modules, 'rembg', types.SimpleNamespace(new_session=fail))
  line = 'mask-refine photo.png depth.npy --mask=auto -o out.npy'
  refuse(line, '--mask=auto: rembg cannot load its model (no network); a network connection')
