"""Animations: ffmpeg reads back the frames, size and colours that were written."""

import subprocess
import sys

import numpy as np
import pytest

from depthjax.files.video import write_animation
from tests.messages import refused

ffmpeg = pytest.importorskip('imageio_ffmpeg')
ZEROS = np.zeros((16, 16, 3), np.float32)


def moving_square(count, h=34, w=48):
  """A red square on grey that moves by two pixels per frame."""
  for i in range(count):
    frame = np.full((h, w, 3), 0.5, np.float32)
    frame[8:24, 2 * i : 2 * i + 16] = 0.9, 0.2, 0.1
    yield frame


def read_back(path, h, w, *options):
  """The log of ffmpeg about a file, and its frames as floats [h w 3]."""
  raw = *options, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'
  command = [ffmpeg.get_ffmpeg_exe(), '-i', path, '-fps_mode', 'passthrough', *raw]
  done = subprocess.run(command, capture_output=True, check=True)
  about = done.stderr.decode().partition('Output #0')[0]
  assert f', {w}x{h}' in about
  return about, np.frombuffer(done.stdout, np.uint8).reshape(-1, h, w, 3) / 255


@pytest.mark.parametrize('extension', ['.mp4', '.gif'])
def test_frames_colours_and_rate(tmp_path, extension):
  path = tmp_path / f'a{extension}'
  assert write_animation(path, moving_square(7), fps=20) == 7
  about, frames = read_back(path, 34, 48)
  assert len(frames) == 7 and ' 20 fps' in about
  for frame, expected in zip(frames, moving_square(7), strict=True):
    # The chroma of MP4 has half the resolution: colours are exact inside the square only.
    red = np.all(expected == expected[12, np.argmax(expected[12, :, 0])], axis=-1)
    np.testing.assert_allclose(frame[10:22][red[10:22]].mean(0), [0.9, 0.2, 0.1], atol=0.05)
    assert np.abs(frame - expected).mean() < 0.02
  assert [p.name for p in tmp_path.iterdir()] == [path.name]
  data = path.read_bytes()
  if extension == '.gif':
    assert b'NETSCAPE2.0\x03\x01\x00\x00' in data  # loops
  else:
    assert 'yuv420p(tv, bt709' in about and data.index(b'moov') < data.index(b'mdat')


def test_saturated_colours_of_mp4(tmp_path):
  colours = np.float32([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
  path = tmp_path / 'a.mp4'
  write_animation(path, [np.full((32, 32, 3), c, np.float32) for c in colours], fps=10)
  # Without this filter ffmpeg decodes by BT.601, whatever the label.
  label = '-vf', 'scale=in_color_matrix=bt709:in_range=tv:out_range=pc'
  _, frames = read_back(path, 32, 32, *label)
  np.testing.assert_allclose(frames.mean((1, 2)), colours, atol=0.02)


def test_odd_sizes_are_padded_in_mp4_only(tmp_path):
  write_animation(tmp_path / 'a.mp4', moving_square(2, 33, 47))
  write_animation(tmp_path / 'a.gif', moving_square(2, 33, 47))
  _, padded = read_back(tmp_path / 'a.mp4', 34, 48)
  np.testing.assert_allclose(padded[0][-1], padded[0][-2], atol=0.02)
  assert len(read_back(tmp_path / 'a.gif', 33, 47)[1]) == 2


@pytest.mark.parametrize(
  'name, frames, fps, wrong',
  [
    ('a.mp4', [], 30, ': would have no frames'),
    ('a.mp4', [ZEROS, ZEROS[:, :8]], 30, ', frame 1: is 8 x 16 pixels'),
    ('a.gif', [ZEROS, ZEROS + np.nan], 30, ', frame 1: would hold 768 NaN'),
    ('a.gif', [ZEROS[..., 0]], 30, ', frame 0: has one channel'),
    ('a.mp4', [ZEROS], 0, ': would have 0 frames per second'),
    ('a.gif', [ZEROS], 51, ': would have 51 frames per second'),
    ('a.webm', [ZEROS], 30, ": ends in '.webm'"),
  ],
)
def test_invalid_frames_rates_and_extensions_are_refused(tmp_path, name, frames, fps, wrong):
  refused(lambda: write_animation(tmp_path / name, frames, fps), f'{tmp_path / name}{wrong}')
  assert list(tmp_path.iterdir()) == []


def test_errors_of_the_frame_generator_are_passed_on(tmp_path):
  def frames():
    yield from moving_square(2)
    raise OSError('out of memory')

  with pytest.raises(OSError, match='^out of memory$'):
    write_animation(tmp_path / 'a.mp4', frames())
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('extension', ['.mp4', '.gif'])
def test_failure_of_ffmpeg_is_one_line(tmp_path, monkeypatch, extension):
  def breaks(path, size, **options):
    (yield), (yield)
    raise OSError('broken pipe\nthe log\nno space left')

  def stops_early(path, size, **options):
    with open(path, 'wb') as file:
      file.write(b'GIF89a' if extension == '.gif' else b'\0\0\0\x20ftypisom')
    while True:
      yield

  path = tmp_path / f'a{extension}'
  for writer, reason in ((breaks, ' (no space left)'), (stops_early, '')):
    monkeypatch.setattr(ffmpeg, 'write_frames', writer)
    call = lambda: write_animation(path, [ZEROS] * 3)  # noqa: E731
    refused(call, path, f'not finished by ffmpeg{reason};', 'free space')
  assert list(tmp_path.iterdir()) == []


def test_missing_package_is_refused_with_its_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
  call = lambda: write_animation(tmp_path / 'a.mp4', [ZEROS])  # noqa: E731
  refused(call, 'a.mp4: ', 'not installed', "pip install 'depthjax[photo]'")
