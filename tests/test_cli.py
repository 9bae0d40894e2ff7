"""The command line: pictures from files, and one line with exit code 2 for all that cannot work."""

import functools
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import ExifTags, Image

from depthjax import cli
from depthjax.files import depth as depth_files
from depthjax.files import images, weights
from depthjax.models.lensblur import LensBlur
from depthjax.pipelines import learned as learned_lib
from depthjax.pipelines import refocus
from tests import messages, profiles, tiny

_H, _W = 36, 52


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The working folder, with photo.png, a half as near depth.png, and what is wrong with others."""
  monkeypatch.chdir(tmp_path)
  photo, depth = _photo(), _depth()
  images.write_image('photo.png', photo, bits=16)
  depth_files.write_depth('depth.png', depth)
  pathlib.Path('cut.png').write_bytes(pathlib.Path('photo.png').read_bytes()[:-900])
  depth_files.write_depth('square.png', depth[:, :_H])
  depth_files.write_depth('flat.png', np.full((_H, _W), 0.5))
  np.save('nan.npy', np.full((_H, _W), np.nan))
  return tmp_path


def _photo():
  return np.random.default_rng(0).random((_H, _W, 3), np.float32)


def _depth():
  """Disparity: the left half far, the right half near, the farthest and nearest in corners."""
  depth = np.full((_H, _W), 0.2, np.float32)
  depth[:, _W // 2 :] = 0.7
  depth[0, 0], depth[-1, -1] = 0, 1
  return depth


@functools.cache
def _variables():
  widths = (6, 6, 3, 3)
  model = LensBlur(width=4, upsampler_width=4, features=widths, upsampler_features=widths)
  return jax.device_get(jax.jit(functools.partial(learned_lib.initial, model))())


def _save_weights(folder, task='lensblur'):
  metadata = {'task': task, 'step': 0, 'config': tiny.config().to_dict()}
  return weights.save_weights(folder, _variables(), metadata)


def _run(monkeypatch, line, method='classical'):
  """Exit code of a command line; words have no spaces here.

  The classical renderer, which compiles at once, where the line does not name another.
  """
  if method and line.startswith('refocus ') and '--method' not in line and '--weights' not in line:
    line += f' --method={method}'
  monkeypatch.setattr(sys, 'argv', ['depthjax', *line.split()])
  with pytest.raises(SystemExit) as caught:
    cli.main()
  return caught.value.code or 0


def _expected(focus, radius, depth=None):
  """What the pipeline makes of the same input."""
  depth = _depth() if depth is None else depth
  photo = np.round(_photo() * 65535).astype(np.float32) / 65535
  return refocus.refocus(photo, depth[..., None], focus=focus, radius=radius)


def _assert_wrote(name, expected, tolerance=1 / 255):
  np.testing.assert_allclose(images.read_image(name), expected, atol=tolerance)


def test_a_picture_is_focused_at_a_point(folder, monkeypatch, capsys):
  assert _run(monkeypatch, 'refocus photo.png depth.png -o out.png --focus=40,10 --radius=4') == 0
  out = capsys.readouterr().out.splitlines()
  assert out[-1] == 'out.png: in focus at disparity 0.700, blur radius up to 2.8 pixels'
  expected = _expected(0.7, 4)
  _assert_wrote('out.png', expected)
  near = np.abs(images.read_image('out.png') - _photo())[4:-4, _W // 2 + 4 : -4]
  assert near.max() < 2 / 255 < 0.05 < np.abs(expected - _photo()).max()


def test_a_picture_is_focused_on_a_box(folder, monkeypatch, capsys):
  """The median of 20 x 20 pixels of which most are far, though their middle is near."""
  line = 'refocus photo.png depth.png -o out.png --focus-box=15,5,35,25 --radius=4'
  assert _run(monkeypatch, line) == 0
  assert 'in focus at disparity 0.200' in capsys.readouterr().out
  _assert_wrote('out.png', _expected(0.2, 4))


def test_a_folder_is_rendered_but_for_what_cannot_be(folder, monkeypatch, capsys):
  for name in ('photos', 'depths'):
    pathlib.Path(name).mkdir()
  for source, *names in (
    ('photo.png', 'photos/a.png', 'photos/b.PNG', 'photos/cut-depth.png', 'photos/lone.png'),
    ('cut.png', 'photos/cut.png'),
    ('depth.png', 'depths/a.png', 'depths/cut.png'),
    ('square.png', 'depths/cut-depth.png'),
  ):
    for name in names:
      shutil.copy(source, name)
  np.save('depths/b.npy', _depth())
  assert _run(monkeypatch, 'refocus photos depths -o out --radius=4 --focus=40,10') == 2
  assert sorted(path.name for path in folder.glob('out/*')) == ['a.png', 'b.png']
  for name in ('out/a.png', 'out/b.png'):
    _assert_wrote(name, _expected(0.7, 4))
  out, error = capsys.readouterr()
  assert out.splitlines() == [
    f'out/{name}.png: in focus at disparity 0.700, blur radius up to 2.8 pixels' for name in 'ab'
  ]
  lines = [line for line in error.splitlines() if line.startswith('depthjax: ')]
  for line, words in zip(
    lines,
    ['depths/cut-depth.png: is 36 x 36', 'photos/cut.png: is truncated', 'lone.png: has no depth']
    + ['3 of 5 photographs failed, 1 of them without a depth map'],
    strict=True,
  ):
    assert words in line
  assert error.splitlines()[-1] == lines[-1]


def test_a_folder_without_failures_ends_well(folder, monkeypatch, capsys):
  for name in ('photos', 'depths', 'out'):
    pathlib.Path(name).mkdir()
  for stem in 'ab':
    images.write_image(f'photos/{stem}.jpg', _photo())
    shutil.copy('depth.png', f'depths/{stem}.png')
  assert _run(monkeypatch, 'refocus photos depths -o out --radius=4 --bits=16') == 0
  out, error = capsys.readouterr()
  assert out.splitlines()[-1] == 'out: 2 photographs' and 'depthjax: ' not in error
  assert images.read_pixels('out/b.png').dtype == np.uint16  # JPEG holds 8 bits.


def test_sixteen_bits_and_the_middle_by_default(folder, monkeypatch):
  assert _run(monkeypatch, 'refocus photo.png depth.png -o out.png --radius=4 --bits=16') == 0
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_wrote('out.png', _expected(0.7, 4), 2e-5)


def test_an_aperture_is_a_share_of_the_long_side(folder, monkeypatch, capsys):
  line = 'refocus photo.png depth.png -o out.tif --focus-disparity=0.2 --aperture=0.8'
  assert _run(monkeypatch, line) == 0
  assert (
    f'disparity 0.200, blur radius up to {0.8**2 * _W / 20:.1f} pixels' in capsys.readouterr().out
  )
  _assert_wrote('out.tif', _expected(0.2, 0.8 * _W / 20))


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'exr'])
def test_depth_far_is_large_is_inverted(folder, monkeypatch, ending):
  """1 / z of these depths are the disparities 0.5, 1.75 and the ends 0 and 2.5 of the range."""
  metres = (1 / (2.5 * _depth() + 0.1)).astype(np.float32)
  if ending == 'npy':
    np.save('depth.npy', metres)
  else:
    depth_files.write_depth(f'depth.{ending}', metres)
  line = f'refocus photo.png depth.{ending} -o out.png --convention=depth --focus=3,5 --radius=4'
  assert _run(monkeypatch, line) == 0
  _assert_wrote('out.png', _expected(0.2, 4))


def test_a_smaller_depth_is_resized_and_said_so(folder, monkeypatch, capsys):
  depth_files.write_depth('half.pfm', _depth()[::2, ::2])
  assert _run(monkeypatch, 'refocus photo.png half.pfm -o out.png --radius=1') == 0
  assert 'half.pfm: resized to the photograph, 52 x 36 pixels' in capsys.readouterr().out
  assert images.read_image('out.png').shape == (_H, _W, 3)


@pytest.mark.parametrize(
  'name, options, frames', [('out.mp4', '--animate=focus', 3), ('out.gif', '--animate=aperture', 4)]
)
def test_animations(folder, monkeypatch, name, options, frames):
  ffmpeg = pytest.importorskip('imageio_ffmpeg')
  line = f'refocus photo.png depth.png -o {name} --radius=4 --frames={frames} --fps=5 {options}'
  assert _run(monkeypatch, line) == 0
  command = [ffmpeg.get_ffmpeg_exe(), '-i', name, *'-f rawvideo -pix_fmt rgb24 -'.split()]
  raw = subprocess.run(command, capture_output=True, check=True).stdout
  read = np.frombuffer(raw, np.uint8).reshape(-1, _H, _W, 3) / 255
  assert len(read) == frames
  left, right = (
    [np.abs(np.diff(frame[:, half], axis=1)).mean() for frame in read]
    for half in (slice(3, _W // 2 - 3), slice(_W // 2 + 3, -3))
  )
  if options == '--animate=focus':  # At disparity 1, then twice at 0.25.
    assert left[0] < 0.7 * left[1] and right[0] > 1.2 * right[1]
  else:  # Closed, half open, wide, half open; in focus is the right half.
    assert left[0] > 1.2 * left[1] > 1.2 * left[2] and left[3] > 1.1 * left[2]
    assert right[2] > 0.9 * right[0]


@pytest.mark.parametrize('given', ['weights.safetensors', '.'])
def test_trained_weights_are_used(folder, monkeypatch, given):
  """By the file or by the run's folder."""
  _save_weights(folder)
  line = f'refocus photo.png depth.png -o out.png --radius=4 --weights={given}'
  assert _run(monkeypatch, line) == 0
  photo = images.read_image('photo.png')
  learned = refocus.load(given)
  arguments = {'focus': 0.7, 'radius': 4, 'learned': learned}
  _assert_wrote('out.png', refocus.refocus(photo, _depth()[..., None], **arguments))


def test_the_renderer_that_ships_is_the_default(folder, monkeypatch):
  """Without a word about it, offline; it keeps what is in focus and blurs what is not."""
  line = 'refocus photo.png depth.png -o out.png --radius=4 --focus-disparity=0.7'
  assert _run(monkeypatch, line, method=None) == 0
  photo = images.read_image('photo.png')
  arguments = {'focus': 0.7, 'radius': 4, 'learned': refocus.builtin()}
  _assert_wrote('out.png', refocus.refocus(photo, _depth()[..., None], **arguments))
  result, classical = images.read_image('out.png'), _expected(0.7, 4)
  # The nearest pixel of all, in a corner, is out of focus too.
  near, far = np.s_[4:-16, _W // 2 + 10 : -4], np.s_[12:-4, 4 : _W // 2 - 6]
  assert np.abs(result - photo)[near].mean() < 0.5 / 255 + 1 / 510
  assert np.abs(result - photo)[far].mean() > 0.1
  assert np.abs(result - classical)[far].mean() < 0.3 * np.abs(result - photo)[far].mean()


def test_the_hybrid_renderer_is_one_of_the_methods(folder, monkeypatch):
  _save_weights(folder)
  line = 'refocus photo.png depth.png -o out.png --radius=4 --method=hybrid'
  assert _run(monkeypatch, f'{line} --weights=weights.safetensors') == 0
  photo, learned = images.read_image('photo.png'), refocus.load('weights.safetensors')
  arguments = {'focus': 0.7, 'radius': 4, 'learned': learned}
  expected = refocus.refocus(photo, _depth()[..., None], **arguments, hybrid=True)
  _assert_wrote('out.png', expected)
  other = refocus.refocus(photo, _depth()[..., None], **arguments)
  assert np.abs(expected - other).max() > 0.02


def test_frames_of_an_opening_aperture_know_of_the_widest(folder, monkeypatch):
  seen = []

  def render(*_, radius, sweep, **__):
    seen.append((radius, sweep))
    return _photo()

  monkeypatch.setattr(refocus, 'refocus', render)
  pytest.importorskip('imageio_ffmpeg')
  line = 'refocus photo.png depth.png -o out.mp4 --animate=aperture --frames=4 --radius=6'
  assert _run(monkeypatch, line) == 0
  np.testing.assert_allclose(seen, [(0, 6), (3, 6), (6, 6), (3, 6)], atol=1e-6)


def test_a_picture_keeps_its_profile_and_maker(folder, monkeypatch):
  exif = Image.Exif()
  exif[ExifTags.Base.Make] = 'Maker'
  profile = profiles.matrix_profile(*profiles.P3)
  with Image.open('photo.png') as image:
    image.convert('RGB').save('photo.jpg', exif=exif, icc_profile=profile)
  assert _run(monkeypatch, 'refocus photo.jpg depth.png -o out.tif --radius=4 --bits=16') == 0
  with Image.open('out.tif') as image:
    assert image.info['icc_profile'] == profile
    assert image.getexif()[ExifTags.Base.Make] == 'Maker'


# What a line gets wrong, and words of the one-line answer: the file, what is wrong, what is right.
_OK = 'refocus photo.png depth.png -o out.png'
_BAD = {
  'missing photo': ('refocus no.png depth.png -o out.png', 'no.png: does not exist; expected'),
  'truncated photo': ('refocus cut.png depth.png -o out.png', 'cut.png: is truncated; complete'),
  'photo that is none': ('refocus nan.npy depth.png -o out.png', 'nan.npy: is not an image; PNG'),
  'depths are no folder': (
    'refocus photos depth.png -o out',
    'depth.png: is not a folder; expected a folder',
  ),
  'folder without photographs': (
    'refocus empty photos -o out',
    'empty: holds no photograph; expected files ending in .png',
  ),
  'output is a folder of photographs': (
    'refocus photos empty -o photos',
    'photos: is a folder that is read; expected another folder',
  ),
  'output of a folder is a file': (
    'refocus photos empty -o photo.png',
    'photo.png: is not a folder; expected a folder',
  ),
  'output of a folder in none': ('refocus photos empty -o no/out', 'no/out: cannot be made; name'),
  'missing depth': ('refocus photo.png no.png -o out.png', 'no.png: does not exist; expected'),
  'depth of another size': (
    'refocus photo.png square.png -o out.png',
    'square.png: is 36 x 36 pixels but the photo is 52 x 36; expected the size of the photo',
  ),
  'constant depth': ('refocus photo.png flat.png -o out.png', 'flat.png: is constant; vary'),
  'all-NaN depth': ('refocus photo.png nan.npy -o out.png', 'nan.npy: no valid pixel; expected'),
  'all depth invalid': (
    'refocus photo.png flat.png -o out.png --invalid=32768',
    'flat.png: has no valid pixel; expected',
  ),
  'unknown convention': (f'{_OK} --convention=near', "'--convention': 'near' 'disparity' 'depth'"),
  'unknown option': (f'{_OK} --blur=3', '--blur'),
  'unknown command': ('defocus photo.png', "command 'defocus'"),
  'no output': ('refocus photo.png depth.png', "Missing option '--output'"),
  'focus outside': (f'{_OK} --focus=52,3', '--focus: the point 52,3 is outside 52 x 36 pixels'),
  'focus malformed': (f'{_OK} --focus=12', "--focus is '12'; a pixel as x,y, such as"),
  'focus between pixels': (f'{_OK} --focus=1.5,2', "--focus is '1.5,2'; a pixel as x,y"),
  'both focuses': (f'{_OK} --focus=1,2 --focus-disparity=0.5', '--focus --focus-disparity one of'),
  'all focuses': (
    f'{_OK} --focus=1,2 --focus-box=1,2,3,4 --focus-disparity=0',
    '--focus and --focus-box and --focus-disparity one of',
  ),
  'box malformed': (f'{_OK} --focus-box=1,2,3', "--focus-box is '1,2,3'; a box as x0,y0,x1,y1"),
  'box empty': (f'{_OK} --focus-box=5,2,5,9', '--focus-box: the box 5,2,5,9 is empty x0 < x1'),
  'box outside': (f'{_OK} --focus-box=5,2,53,9', '--focus-box: box not within 52 x 36 pixels'),
  'disparity out of range': (f'{_OK} --focus-disparity=2', "'--focus-disparity'"),
  'disparity no number': (f'{_OK} --focus-disparity=nan', '--focus-disparity'),
  'aperture out of range': (f'{_OK} --aperture=1.5', "'--aperture'"),
  'aperture no number': (f'{_OK} --aperture=nan', 'aperture'),
  'radius negative': (f'{_OK} --radius=-1', "'--radius'"),
  'radius no number': (f'{_OK} --radius=nan', 'radius'),
  'radius infinite': (f'{_OK} --radius=inf', 'radius is inf pixels; from 0 to 13'),
  'radius too large': (f'{_OK} --radius=14', 'radius is 14 pixels; from 0 to 13, long side'),
  'radius too large to learn': (
    f'{_OK} --radius=13 --weights=weights.safetensors',
    'radius of 9.1 pixels is too large for 52 x 36; at most 8 pixels',
  ),
  'aperture and radius': (f'{_OK} --aperture=0.5 --radius=4', '--aperture --radius give one of'),
  'classical with weights': (
    f'{_OK} --method=classical --weights=weights.safetensors',
    '--method=classical uses no weights; leave out one of',
  ),
  'missing weights': (
    f'{_OK} --weights=no.safetensors',
    'no.safetensors: does not exist; expected',
  ),
  'folder without weights': (f'{_OK} --weights=empty', 'empty: is a folder without; expected a'),
  'weights of another task': (
    f'{_OK} --weights=other.safetensors',
    "other.safetensors: weights of the task 'sddr'; expected 'lensblur'",
  ),
  'truncated weights': (
    f'{_OK} --weights=cut.safetensors',
    'cut.safetensors: is truncated; expected a complete file',
  ),
  'output folder missing': (
    'refocus photo.png depth.png -o no/out.png',
    'no/out.png: there is no folder no; expected an existing folder',
  ),
  'output is a folder': ('refocus photo.png depth.png -o empty', 'empty: is a folder; .png'),
  'output extension': (
    'refocus photo.png depth.png -o out.bmp',
    "out.bmp: ends in '.bmp'; expected .png .jpg",
  ),
  'animation to a picture': (f'{_OK} --animate=focus', 'out.png: animation; .mp4 .gif'),
  'picture to an animation': (
    'refocus photo.png depth.png -o out.mp4',
    'out.mp4: is an animation; expected --animate=focus',
  ),
  'animation too fast': (
    'refocus photo.png depth.png -o out.gif --animate=focus --fps=60',
    'out.gif: 60 frames a second; expected at most 50',
  ),
  'animation of a blur too large': (
    'refocus photo.png depth.png -o out.gif --animate=aperture --frames=4 --radius=14',
    'radius is 14 pixels; from 0 to 13',
  ),
  'bits that no file has': (f'{_OK} --bits=12', 'out.png: 12 bits; expected 8 bits 16 bits'),
  'bits that a format lacks': (
    'refocus photo.png depth.png -o out.jpg --bits=16',
    'out.jpg: cannot hold 16 bits; expected .png',
  ),
}


# What only the renderer can tell. All else is refused before it does any work.
_LATE = ('radius infinite', 'radius too large', 'radius too large to learn')
_LATE += ('radius no number', 'animation of a blur too large')


def _not_to_be_called(*args, **kwargs):
  raise AssertionError('rendered what could not be written')


@pytest.mark.parametrize('case', _BAD)
def test_bad_input_is_one_line_and_no_output(folder, monkeypatch, capsys, case):
  line, words = _BAD[case]
  if 'weights=' in line:
    data = _save_weights(folder).read_bytes()
    _save_weights(folder / 'other.safetensors', task='sddr')
    pathlib.Path('cut.safetensors').write_bytes(data[: len(data) // 2])
  pathlib.Path('empty').mkdir()
  pathlib.Path('photos').mkdir()
  shutil.copy('photo.png', 'photos')
  if case not in _LATE:
    monkeypatch.setattr(refocus, 'refocus', _not_to_be_called)
  before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
  assert _run(monkeypatch, line) == 2
  error = capsys.readouterr().err
  messages.assert_one_line(error, words)
  assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_without_a_command_there_is_help(monkeypatch, capsys):
  assert _run(monkeypatch, '') == 0
  out = capsys.readouterr().out
  assert all(f' {verb} ' in out for verb in ('train', 'evaluate', 'refocus', 'demo'))
