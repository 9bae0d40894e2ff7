"""Animations: what ffmpeg reads back has the frames, the size and the colours that were written."""

import subprocess
import sys

import numpy as np
import pytest

from depthjax.files.video import write_animation
from tests.messages import refused

ffmpeg = pytest.importorskip('imageio_ffmpeg')


def moving_square(count, h=34, w=48):
  """A red square that moves two pixels a frame over a grey ground."""
  for i in range(count):
    frame = np.full((h, w, 3), 0.5, np.float32)
    frame[8:24, 2 * i : 2 * i + 16] = 0.9, 0.2, 0.1
    yield frame


def read_back(path, h, w):
  """What ffmpeg says of a file, and its frames as floats [h w 3]."""
  exe, raw = ffmpeg.get_ffmpeg_exe(), ('-f', 'rawvideo', '-pix_fmt', 'rgb24', '-')
  command = [exe, '-i', path, '-fps_mode', 'passthrough', *raw]
  done = subprocess.run(command, capture_output=True, check=True)
  about = done.stderr.decode().partition('Output #0')[0]
  assert f', {w}x{h}' in about
  return about, np.frombuffer(done.stdout, np.uint8).reshape(-1, h, w, 3) / 255


@pytest.mark.parametrize('ending', ['.mp4', '.gif'])
def test_frames_colours_and_speed(tmp_path, ending):
  path = tmp_path / f'a{ending}'
  assert write_animation(path, moving_square(7), fps=20) == 7
  about, frames = read_back(path, 34, 48)
  assert len(frames) == 7 and ' 20 fps' in about
  for frame, expected in zip(frames, moving_square(7), strict=True):
    assert frame.shape == expected.shape
    # Chroma is halved in MP4, so only the inside of the square has its colour.
    red = np.all(expected == expected[12, np.argmax(expected[12, :, 0])], axis=-1)
    np.testing.assert_allclose(frame[10:22][red[10:22]].mean(0), [0.9, 0.2, 0.1], atol=0.05)
    assert np.abs(frame - expected).mean() < 0.02
  assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_mp4_plays_everywhere(tmp_path):
  path = tmp_path / 'a.mp4'
  write_animation(path, moving_square(3), fps=24)
  about, _ = read_back(path, 34, 48)
  assert 'Video: h264' in about and 'yuv420p(tv, bt709' in about
  data = path.read_bytes()
  assert data.index(b'moov') < data.index(b'mdat')


def test_mp4_keeps_saturated_colours(tmp_path):
  colours = np.float32([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
  path = tmp_path / 'a.mp4'
  write_animation(path, [np.full((32, 32, 3), c, np.float32) for c in colours], fps=10)
  # Decoded as its label says, by a decoder that is told so: left alone ffmpeg assumes BT.601.
  exe, raw = ffmpeg.get_ffmpeg_exe(), ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
  label = ['-vf', 'scale=in_color_matrix=bt709:in_range=tv:out_range=pc']
  done = subprocess.run([exe, '-i', path, *label, *raw], capture_output=True, check=True)
  frames = np.frombuffer(done.stdout, np.uint8).reshape(3, 32, 32, 3) / 255
  np.testing.assert_allclose(frames.mean((1, 2)), colours, atol=0.02)


def test_gif_loops_for_ever(tmp_path):
  path = tmp_path / 'a.gif'
  write_animation(path, moving_square(3), fps=10)
  assert b'NETSCAPE2.0\x03\x01\x00\x00' in path.read_bytes()


def test_odd_sizes_gain_a_copy_of_the_last_column_and_row_in_mp4(tmp_path):
  write_animation(tmp_path / 'a.mp4', moving_square(2, 33, 47))
  write_animation(tmp_path / 'a.gif', moving_square(2, 33, 47))
  _, padded = read_back(tmp_path / 'a.mp4', 34, 48)
  np.testing.assert_allclose(padded[0][-1], padded[0][-2], atol=0.02)
  assert len(read_back(tmp_path / 'a.gif', 33, 47)[1]) == 2


@pytest.mark.parametrize('ending', ['.mp4', '.gif'])
def test_bad_frames_leave_nothing(tmp_path, ending):
  path = tmp_path / f'a{ending}'
  refused(lambda: write_animation(path, []), path, 'no frames', 'at least one frame')
  sizes = [np.zeros((16, 16, 3), np.float32), np.zeros((16, 20, 3), np.float32)]
  refused(lambda: write_animation(path, sizes), f'{path}, frame 1', '20 x 16', '16 x 16')
  nan = [sizes[0], sizes[0] + np.nan]
  refused(lambda: write_animation(path, nan), f'{path}, frame 1', 'NaN', 'finite values')
  grey = [sizes[0][..., 0]]
  refused(lambda: write_animation(path, grey), f'{path}, frame 0', 'one channel', 'three')
  refused(lambda: write_animation(path, moving_square(2), 0), path, '0 frames a second', 'more')
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('error', [RuntimeError, OSError])
def test_an_error_in_the_renderer_passes_and_leaves_nothing(tmp_path, error):
  def frames():
    yield from moving_square(2)
    raise error('out of memory')

  with pytest.raises(error, match='^out of memory$'):
    write_animation(tmp_path / 'a.mp4', frames())
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('ending', ['.mp4', '.gif'])
def test_a_failure_of_ffmpeg_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, ending):
  def breaks(path, size, **options):
    (yield), (yield)
    raise OSError('broken pipe\nthe log\nno space left')

  def stops_early(path, size, **options):
    with open(path, 'wb') as file:
      file.write(b'GIF89a' if ending == '.gif' else b'\0\0\0\x20ftypisom')
    while True:
      yield

  path = tmp_path / f'a{ending}'
  call = lambda: write_animation(path, moving_square(3))  # noqa: E731
  monkeypatch.setattr(ffmpeg, 'write_frames', breaks)
  refused(call, path, 'not finished by ffmpeg (no space left)', 'free space')
  monkeypatch.setattr(ffmpeg, 'write_frames', stops_early)
  refused(call, path, 'not finished by ffmpeg', 'free space')
  assert list(tmp_path.iterdir()) == []


def test_bad_names_rates_and_packages(tmp_path, monkeypatch):
  webm, gif, mp4 = tmp_path / 'a.webm', tmp_path / 'a.gif', tmp_path / 'a.mp4'
  refused(lambda: write_animation(webm, moving_square(1)), webm, "'.webm'", '.mp4 or .gif')
  lost = tmp_path / 'no' / 'a.mp4'
  refused(lambda: write_animation(lost, moving_square(1)), lost, 'no folder', 'existing folder')
  refused(lambda: write_animation(gif, moving_square(1), 60), gif, '60 frames', 'at most 50')
  monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)
  call = lambda: write_animation(mp4, moving_square(1))  # noqa: E731
  refused(call, mp4, 'not installed', "pip install 'depthjax[photo]'")
  assert list(tmp_path.iterdir()) == []
