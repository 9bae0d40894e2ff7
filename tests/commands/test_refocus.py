"""`depthjax refocus`: reads photographs and maps, renders them with the pipeline, writes them."""

import io
import pathlib
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image
from rich import console

from depthjax.commands.work import refocus as work
from depthjax.files import depth as depth_files
from depthjax.files import images
from depthjax.pipelines.refocus import refocus
from tests import portraits
from tests.commands import made

_H, _W = 36, 52
_OK = 'refocus photo.png depth.png -o out.png'
_CLASSICAL = f'{_OK} --method=classical'  # It compiles faster.
_PHOTO = np.random.default_rng(0).random((_H, _W, 3), np.float32)
# Disparity: the left half far, the right half near, the extremes in two corners.
_DEPTH = np.full((_H, _W), 0.2, np.float32)
_DEPTH[:, _W // 2 :] = 0.7
_DEPTH[:4, :4], _DEPTH[-4:, -4:] = 0, 1


@pytest.fixture(autouse=True)
def folder(run, tmp_path):
  """The working folder: a photograph, its depth, one of another size, and weights."""
  images.write_image('photo.png', _PHOTO, bits=16)
  depth_files.write_depth('depth.png', _DEPTH)
  depth_files.write_depth('square.png', _DEPTH[:, :_H])
  made.save_lensblur('weights.safetensors')
  return tmp_path


def _expected(focus, radius, **fields):
  """The pipeline's result for the same input."""
  photo, disparity = images.read_image('photo.png'), _DEPTH[..., None]
  return refocus.refocus(photo, disparity, focus=focus, radius=radius, **fields)


def _assert_wrote(name, expected, tolerance=1 / 255):
  np.testing.assert_allclose(images.read_image(name), expected, atol=tolerance)


@pytest.mark.parametrize(
  'options, focus, radius',
  [
    ('--focus=40,10 --radius=4', 0.7, 4),
    ('--radius=4', 0.7, 4),  # The middle.
    ('--focus-box=15,5,35,25 --radius=4', 0.2, 4),  # Mostly far, but near in the middle.
    ('--focus-disparity=0.2 --aperture=0.8', 0.2, 0.8 * _W / 20),
    ('--focus-disparity=0.2', 0.2, 0.5 * _W / 20),
  ],
)
def test_focus_and_blur_options(run, options, focus, radius):
  code, out, _ = run(f'{_CLASSICAL} {options}')
  largest = max(focus, 1 - focus) * radius
  result = f'out.png: in focus at disparity {focus:.3f}, blur radius up to {largest:.1f} pixels\n'
  assert (code, out) == (0, f'depth.png: disparity from 0 to 65535\n{result}')
  assert run(f'{_CLASSICAL} {options} --quiet')[:2] == (0, '')
  _assert_wrote('out.png', _expected(focus, radius))


@pytest.mark.parametrize(
  'options, most',
  [
    ('out.png --method=classical --radius=60', 13),
    ('out.png --method=hybrid --weights=. --aperture=1', 8),  # 4 px at half the size.
    ('out.gif --weights=. --animate=aperture --frames=2', 8),
  ],
)
def test_a_blur_that_is_too_large_is_limited(run, monkeypatch, options, most):
  """The default aperture is too large for a panorama as well."""
  seen = []
  monkeypatch.setattr(refocus, 'refocus', lambda *_, **fields: seen.append(fields) or _PHOTO)
  monkeypatch.setattr(refocus, 'radius_of', lambda *_: 60)
  code, out, _ = run(f'refocus photo.png depth.png -o {options}')
  assert code == 0 and f'up to {most:.1f} pixels (42.0 is too large for 52 x 36 pixels)' in out
  assert 0.7 * seen[-1]['radius'] == pytest.approx(most, rel=1e-4)


def test_progress_is_shown_after_a_while(run, monkeypatch):
  """On a terminal; the total is that of all tiles."""
  screen = console.Console(file=io.StringIO(), force_terminal=True)
  monkeypatch.setattr(console, 'Console', lambda **_: screen)
  assert run(f'{_CLASSICAL} --radius=4')[0] == 0 and screen.file.getvalue() == ''
  monkeypatch.setattr(work, '_PATIENCE', -1)
  assert run(f'{_OK} --weights=. --method=hybrid --radius=4')[0] == 0
  assert 'rendering' in screen.file.getvalue() and '100%' in screen.file.getvalue()


def test_results_in_a_folder_have_the_format_of_the_photograph_if_it_has_16_bits(run, folder):
  for name in ('photos', 'depths'):
    pathlib.Path(name).mkdir()
  shutil.copy('photo.png', 'photos/b.PNG')
  images.write_image('photos/c.jpg', _PHOTO)
  for stem in 'bc':
    np.save(f'depths/{stem}.npy', _DEPTH)
  line = 'refocus photos depths --radius=4 --method=classical'
  code, out, _ = run(f'{line} -o out --bits=16')
  assert code == 0 and out.splitlines()[4] == 'out: 2 photographs'
  assert sorted(path.name for path in folder.glob('out/*')) == ['b.png', 'c.png']
  assert images.read_pixels('out/c.png').dtype == np.uint16
  _assert_wrote('out/b.png', _expected(0.7, 4), 2e-5)
  images.write_image('photos/d.png', _PHOTO)
  pathlib.Path('photos/d.png').rename('photos/d.ppm')
  pathlib.Path('photos/e.gif').write_bytes(b'GIF89a')
  np.save('depths/d.npy', _DEPTH)
  code, _, error = run(f'{line} -o other')
  assert sorted(path.name for path in folder.glob('other/*')) == ['b.png', 'c.jpg', 'd.png']
  # As the photographs, if --bits is not given.
  bits = [images.read_photo(f'other/{name}').bits for name in ('b.png', 'd.png')]
  assert (code, bits) == (2, [16, 8])
  assert 'photos/e.gif: has no depth map' in error and '1 of 4 photographs failed, 1' in error


def test_depth_is_inverted_and_a_smaller_map_resized(run):
  """1 / z of these depths is 2.5 times the disparity plus 0.1."""
  np.save('depth.npy', 1 / (2.5 * _DEPTH + 0.1))
  line = _CLASSICAL.replace('depth.png', 'depth.npy')
  assert run(f'{line} --convention=depth --focus=3,5 --radius=4')[0] == 0
  _assert_wrote('out.png', _expected(0.2, 4))
  np.save('depth.npy', _DEPTH[::2, ::2])
  code, out, _ = run(f'{line} --radius=1')
  assert code == 0 and 'from 0 to 1; resized to 52 x 36 pixels\n' in out
  assert images.read_image('out.png').shape == (_H, _W, 3)


@pytest.mark.parametrize('depth', ['', 'embedded'])
def test_depth_inside_the_photograph_is_used(run, depth):
  xmp = portraits.packet(Data=portraits.encoded(np.rint(255 * (1 - _DEPTH)).astype(np.uint8)))
  pathlib.Path('photos').mkdir()
  portraits.save(pathlib.Path('photos/a.jpg'), (_H, _W), xmp)
  focus = '--focus=40,10 --radius=4 --method=classical --convention=depth'
  for photo, output in (('photos/a.jpg', 'out.png'), ('photos', 'out')):
    code, out, _ = run(f'refocus {photo} {depth} -o {output} {focus}')
    assert code == 0 and 'in focus at disparity 0.70' in out


def test_channel_of_the_depth_map(run):
  np.savez('depth.npz', near=_DEPTH, far=1 - _DEPTH)
  line = _CLASSICAL.replace('depth.png', 'depth.npz') + ' --radius=4 --focus=40,10'
  for channel, disparity in (('near', 0.7), ('far', 0.3)):
    code, out, _ = run(f'{line} --channel={channel}')
    assert code == 0 and f'in focus at disparity {disparity:.3f}' in out


def test_learned_and_hybrid_methods_use_the_weights(run):
  learned = refocus.load('weights.safetensors')
  for method in ('learned', 'hybrid'):
    assert run(f'{_OK} --radius=4 --weights=. --method={method}')[0] == 0
    _assert_wrote('out.png', _expected(0.7, 4, learned=learned, hybrid=method == 'hybrid'))


def test_the_built_in_renderer_is_the_default(run):
  """It preserves what is in focus and blurs the rest about as the classical renderer does."""
  assert run(f'{_OK} --radius=4 --focus-disparity=0.7')[0] == 0
  _assert_wrote('out.png', _expected(0.7, 4, learned=refocus.builtin(), hybrid=True))
  result = images.read_image('out.png')
  change, error = np.abs(result - _PHOTO), np.abs(result - _expected(0.7, 4))
  # Away from the corners, which are out of focus.
  near, far = np.s_[4:-16, _W // 2 + 10 : -4], np.s_[12:-4, 4 : _W // 2 - 6]
  assert change[near].mean() < 0.5 / 255 + 1 / 510
  assert change[far].mean() > max(0.1, error[far].mean() / 0.3)


def test_frames_of_an_animation_have_a_common_sweep(run, monkeypatch):
  pytest.importorskip('imageio_ffmpeg')
  seen = []
  monkeypatch.setattr(refocus, 'refocus', lambda *_, **fields: seen.append(fields) or _PHOTO)
  for name, sweep, frames in (
    # The farthest point is blurred by 0.7 of the radius.
    ('out.mp4', 'aperture', [(0.7, 0, 4.2), (0.7, 3, 4.2), (0.7, 6, 4.2), (0.7, 3, 4.2)]),
    ('out.gif', 'focus', [(at, 6, 6) for at in refocus.focus_sweep(4)]),
  ):
    line = _CLASSICAL.replace('out.png', name)
    assert run(f'{line} --animate={sweep} --frames=4 --radius=6')[0] == 0
    found = [(fields['focus'], fields['radius'], fields['sweep']) for fields in seen[-4:]]
    np.testing.assert_allclose(found, frames, atol=1e-3)
    assert pathlib.Path(name).stat().st_size


def test_metadata_and_alpha_are_preserved(run):
  exif = Image.Exif()
  exif[ExifTags.Base.Make] = 'Maker'
  rgba = Image.fromarray(images.quantise(_PHOTO)).convert('RGBA')
  rgba.putalpha(7)
  rgba.save('photo.png', exif=exif)
  assert run('refocus photo.png depth.png -o out.tif --radius=4 --method=classical')[0] == 0
  np.testing.assert_allclose(images.read_photo('out.tif').alpha, np.full((_H, _W, 1), 7 / 255))
  with Image.open('out.tif') as image:
    assert image.getexif()[ExifTags.Base.Make] == 'Maker'


_BAD = {
  'refocus photo.png -o out.png': 'photo.png: has no depth map inside; DEPTH, --predictor=NAME, or',
  'refocus no.png depth.png -o out.png': 'no.png: does not exist; expected',
  'refocus photo.png square.png -o out.png': 'square.png: is 36 x 36 the photo is 52 x 36;',
  'refocus photo.png depth.png -o out.jpg --bits=16': 'out.jpg: 16 bits; .png',
  'refocus large.png depth.png -o out.png --max-megapixels=1': 'large.png: is 1001 x 1000 most 1.0',
  'refocus photo.png large.png -o out.png --max-megapixels=1': 'large.png: is 1001 x 1000 most 1.0',
  'refocus photo.png depth.png -o out.mp4': 'out.mp4: would be an animation; --animate=focus',
  f'{_OK} --animate=focus': 'out.png: cannot be an animation; .mp4 .gif',
  f'{_OK} --focus=52,3': '--focus: pixel 52,3 is outside the picture; 52 x 36 pixels',
  f'{_OK} --focus-box=5,2,53,9': '--focus-box: the box 5,2,53,9 outside; 52 36',
  'refocus photo.png depth.png -o photo.png': 'photo.png: is one of the inputs;',
}


@pytest.mark.parametrize('line', _BAD)
def test_invalid_input_is_refused(line, refuse, monkeypatch):
  if 'large' in line:
    images.write_image('large.png', np.zeros((1000, 1001), np.float32))
  monkeypatch.setattr(refocus, 'refocus', None)
  refuse(f'{line} --method=classical', _BAD[line])
