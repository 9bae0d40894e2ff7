"""`depthjax refocus`: the pipeline's pictures, from files and as files."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from PIL import ExifTags, Image

from depthjax.files import depth as depth_files
from depthjax.files import images, video
from depthjax.files.errors import InputError
from depthjax.pipelines.refocus import refocus
from tests import profiles
from tests.commands import made


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """The working folder, with a photograph, its depth, and files that are not right."""
  monkeypatch.chdir(tmp_path)
  made.write()
  return tmp_path


def _expected(focus, radius, depth=None):
  """What the pipeline makes of the same input."""
  depth = made.depth() if depth is None else depth
  photo = np.round(made.photo() * 65535).astype(np.float32) / 65535
  return refocus.refocus(photo, depth[..., None], focus=focus, radius=radius)


def _assert_wrote(name, expected, tolerance=1 / 255):
  np.testing.assert_allclose(images.read_image(name), expected, atol=tolerance)


def test_a_picture_is_focused_at_a_point(folder, monkeypatch, capsys):
  line = 'refocus photo.png depth.png -o out.png --focus=40,10 --radius=4'
  assert made.run(monkeypatch, line) == 0
  out = capsys.readouterr().out.splitlines()
  assert out[-1] == 'out.png: in focus at disparity 0.700, blur radius up to 2.8 pixels'
  expected = _expected(0.7, 4)
  _assert_wrote('out.png', expected)
  near = np.abs(images.read_image('out.png') - made.photo())[4:-4, made.W // 2 + 4 : -4]
  assert near.max() < 2 / 255 < 0.05 < np.abs(expected - made.photo()).max()


def test_a_picture_is_focused_on_a_box(folder, monkeypatch, capsys):
  """The median of 20 x 20 pixels of which most are far, though their middle is near."""
  line = 'refocus photo.png depth.png -o out.png --focus-box=15,5,35,25 --radius=4'
  assert made.run(monkeypatch, line) == 0
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
  np.save('depths/b.npy', made.depth())
  assert made.run(monkeypatch, 'refocus photos depths -o out --radius=4 --focus=40,10') == 2
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
    images.write_image(f'photos/{stem}.jpg', made.photo())
    shutil.copy('depth.png', f'depths/{stem}.png')
  assert made.run(monkeypatch, 'refocus photos depths -o out --radius=4 --bits=16') == 0
  out, error = capsys.readouterr()
  assert out.splitlines()[-1] == 'out: 2 photographs' and 'depthjax: ' not in error
  assert images.read_pixels('out/b.png').dtype == np.uint16  # JPEG holds 8 bits.


def test_sixteen_bits_and_the_middle_by_default(folder, monkeypatch):
  assert made.run(monkeypatch, 'refocus photo.png depth.png -o out.png --radius=4 --bits=16') == 0
  assert images.read_pixels('out.png').dtype == np.uint16
  _assert_wrote('out.png', _expected(0.7, 4), 2e-5)


def test_an_aperture_is_a_share_of_the_long_side(folder, monkeypatch, capsys):
  line = 'refocus photo.png depth.png -o out.tif --focus-disparity=0.2 --aperture=0.8'
  assert made.run(monkeypatch, line) == 0
  assert (
    f'disparity 0.200, blur radius up to {0.8**2 * made.W / 20:.1f} pixels'
    in capsys.readouterr().out
  )
  _assert_wrote('out.tif', _expected(0.2, 0.8 * made.W / 20))


@pytest.mark.parametrize('ending', ['npy', 'pfm', 'exr'])
def test_depth_far_is_large_is_inverted(folder, monkeypatch, ending):
  """1 / z of these depths are the disparities 0.5, 1.75 and the ends 0 and 2.5 of the range."""
  metres = (1 / (2.5 * made.depth() + 0.1)).astype(np.float32)
  if ending == 'npy':
    np.save('depth.npy', metres)
  else:
    depth_files.write_depth(f'depth.{ending}', metres)
  line = f'refocus photo.png depth.{ending} -o out.png --convention=depth --focus=3,5 --radius=4'
  assert made.run(monkeypatch, line) == 0
  _assert_wrote('out.png', _expected(0.2, 4))


def test_a_smaller_depth_is_resized_and_said_so(folder, monkeypatch, capsys):
  depth_files.write_depth('half.pfm', made.depth()[::2, ::2])
  assert made.run(monkeypatch, 'refocus photo.png half.pfm -o out.png --radius=1') == 0
  assert 'half.pfm: resized to the photograph, 52 x 36 pixels' in capsys.readouterr().out
  assert images.read_image('out.png').shape == (made.H, made.W, 3)


@pytest.mark.parametrize(
  'name, options, frames', [('out.mp4', '--animate=focus', 3), ('out.gif', '--animate=aperture', 4)]
)
def test_animations(folder, monkeypatch, name, options, frames):
  ffmpeg = pytest.importorskip('imageio_ffmpeg')
  line = f'refocus photo.png depth.png -o {name} --radius=4 --frames={frames} --fps=5 {options}'
  assert made.run(monkeypatch, line) == 0
  command = [ffmpeg.get_ffmpeg_exe(), '-i', name, *'-f rawvideo -pix_fmt rgb24 -'.split()]
  raw = subprocess.run(command, capture_output=True, check=True).stdout
  read = np.frombuffer(raw, np.uint8).reshape(-1, made.H, made.W, 3) / 255
  assert len(read) == frames
  left, right = (
    [np.abs(np.diff(frame[:, half], axis=1)).mean() for frame in read]
    for half in (slice(3, made.W // 2 - 3), slice(made.W // 2 + 3, -3))
  )
  if options == '--animate=focus':  # At disparity 1, then twice at 0.25.
    assert left[0] < 0.7 * left[1] and right[0] > 1.2 * right[1]
  else:  # Closed, half open, wide, half open; in focus is the right half.
    assert left[0] > 1.2 * left[1] > 1.2 * left[2] and left[3] > 1.1 * left[2]
    assert right[2] > 0.9 * right[0]


@pytest.mark.parametrize('given', ['weights.safetensors', '.'])
def test_trained_weights_are_used(folder, monkeypatch, given):
  """By the file or by the run's folder."""
  made.save_weights(folder)
  line = f'refocus photo.png depth.png -o out.png --radius=4 --weights={given}'
  assert made.run(monkeypatch, line) == 0
  photo = images.read_image('photo.png')
  learned = refocus.load(given)
  arguments = {'focus': 0.7, 'radius': 4, 'learned': learned}
  _assert_wrote('out.png', refocus.refocus(photo, made.depth()[..., None], **arguments))


def test_the_renderer_that_ships_is_the_default(folder, monkeypatch):
  """Without a word about it, offline; it keeps what is in focus and blurs what is not."""
  line = 'refocus photo.png depth.png -o out.png --radius=4 --focus-disparity=0.7'
  assert made.run(monkeypatch, line, method=None) == 0
  photo = images.read_image('photo.png')
  arguments = {'focus': 0.7, 'radius': 4, 'learned': refocus.builtin()}
  _assert_wrote('out.png', refocus.refocus(photo, made.depth()[..., None], **arguments))
  result, classical = images.read_image('out.png'), _expected(0.7, 4)
  # The nearest pixel of all, in a corner, is out of focus too.
  near, far = np.s_[4:-16, made.W // 2 + 10 : -4], np.s_[12:-4, 4 : made.W // 2 - 6]
  assert np.abs(result - photo)[near].mean() < 0.5 / 255 + 1 / 510
  assert np.abs(result - photo)[far].mean() > 0.1
  assert np.abs(result - classical)[far].mean() < 0.3 * np.abs(result - photo)[far].mean()


def test_the_hybrid_renderer_is_one_of_the_methods(folder, monkeypatch):
  made.save_weights(folder)
  line = 'refocus photo.png depth.png -o out.png --radius=4 --method=hybrid'
  assert made.run(monkeypatch, f'{line} --weights=weights.safetensors') == 0
  photo, learned = images.read_image('photo.png'), refocus.load('weights.safetensors')
  arguments = {'focus': 0.7, 'radius': 4, 'learned': learned}
  expected = refocus.refocus(photo, made.depth()[..., None], **arguments, hybrid=True)
  _assert_wrote('out.png', expected)
  other = refocus.refocus(photo, made.depth()[..., None], **arguments)
  assert np.abs(expected - other).max() > 0.02


def test_frames_of_an_opening_aperture_know_of_the_widest(folder, monkeypatch):
  seen = []

  def render(*_, radius, sweep, **__):
    seen.append((radius, sweep))
    return made.photo()

  monkeypatch.setattr(refocus, 'refocus', render)
  pytest.importorskip('imageio_ffmpeg')
  line = 'refocus photo.png depth.png -o out.mp4 --animate=aperture --frames=4 --radius=6'
  assert made.run(monkeypatch, line) == 0
  # In focus is 0.7 of the range: the farthest is blurred by 0.7 of the radius.
  np.testing.assert_allclose(seen, [(0, 4.2), (3, 4.2), (6, 4.2), (3, 4.2)], atol=1e-3)


def test_a_picture_keeps_its_profile_and_maker(folder, monkeypatch):
  exif = Image.Exif()
  exif[ExifTags.Base.Make] = 'Maker'
  profile = profiles.matrix_profile(*profiles.P3)
  with Image.open('photo.png') as image:
    image.convert('RGB').save('photo.jpg', exif=exif, icc_profile=profile)
  assert made.run(monkeypatch, 'refocus photo.jpg depth.png -o out.tif --radius=4 --bits=16') == 0
  with Image.open('out.tif') as image:
    assert image.info['icc_profile'] == profile
    assert image.getexif()[ExifTags.Base.Make] == 'Maker'


def test_an_animation_that_fails_leaves_no_bar_behind(folder, monkeypatch):
  """Its threads would live until the garbage collector comes, on whichever thread that is."""
  taken = []

  def fail(path, frames, fps):
    taken.append(frames)  # Kept, as a traceback may keep it.
    assert next(frames).ndim == 3 and frames.gi_frame is not None
    raise InputError(path, 'is full', 'room')

  monkeypatch.setattr(video, 'write_animation', fail)
  line = 'refocus photo.png depth.png -o out.mp4 --animate=focus --frames=3 --radius=4'
  assert made.run(monkeypatch, line) == 2
  assert taken[0].gi_frame is None
