"""Animations: frames to MP4 or GIF, through the ffmpeg that the package imageio brings."""

import contextlib
import itertools
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np

from depthjax.files.atomic import check_output, replacing
from depthjax.files.errors import InputError
from depthjax.files.images import checked_image, quantise

EXTENSIONS = ('.mp4', '.gif')
# Browsers play a GIF whose frames last less than 0.02 s at 10 frames a second.
_MAX_GIF_RATE, _MAX_RATE = 50, 240
_SPACE = 'a folder with free space'
_QUIET = {'quality': None, 'macro_block_size': 1, 'ffmpeg_log_level': 'error'}
# H.264 that phones and browsers play from the first byte, its colours labelled: unlabelled ones are
# guessed by the size of the picture. Older ffmpeg labels without converting: hence scale.
_MP4 = _QUIET | {
  'codec': 'libx264',
  'pix_fmt_out': 'yuv420p',
  'output_params': [
    *('-crf', '17', '-preset', 'medium', '-movflags', '+faststart'),
    *('-vf', 'scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int'),
    *('-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709'),
    *('-color_range', 'tv'),
  ],
}
# One palette for all frames, so that what rests does not flicker.
_PALETTE = 'split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle'
_GIF = _QUIET | {
  'codec': 'gif',
  'pix_fmt_out': 'pal8',
  'output_params': ['-filter_complex', _PALETTE, '-loop', '0'],
}


def write_animation(
  path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float = 30.0
) -> int:
  """Writes frames as .mp4 (H.264, yuv420p) or .gif (endless loop) and returns their number.

  Frames are taken one by one; a GIF keeps them in memory until its palette is known. An MP4 of odd
  width or height gains one column or row, a copy of the last.

  Args:
    path: the file; its folder must exist; an existing file is replaced as a whole or not at all.
    frames: floats [h w 3] of one size, sRGB in [0, 1] (clipped beyond).
    fps: frames a second; at most 50 in a GIF.

  Raises:
    InputError: another ending, a missing folder, no frames, frames of different sizes, NaN, a
      rate out of range, the package imageio-ffmpeg missing, ffmpeg failing.
  """
  path = check_output(path, EXTENSIONS)
  is_gif = path.suffix.lower() == '.gif'
  limit = _MAX_GIF_RATE if is_gif else _MAX_RATE
  if not 0 < fps <= limit:
    wrong = f'would play at {fps:g} frames a second'
    raise InputError(path, wrong, f'more than 0 and at most {limit}')
  library = _ffmpeg(path)
  pictures = _pictures(path, frames, even=not is_gif)
  first = next(pictures, None)
  if first is None:
    raise InputError(path, 'would have no frames', 'at least one frame')
  with replacing(path, EXTENSIONS) as temporary:
    size, options = first.shape[1::-1], _GIF if is_gif else _MP4
    writer = library.write_frames(os.fspath(temporary), size, fps=fps, **options)
    with contextlib.closing(writer):
      _send(path, writer, None)
      count = 0
      for picture in itertools.chain([first], pictures):
        _send(path, writer, picture)
        count += 1
    if not _is_complete(temporary):
      raise InputError(path, 'was not finished by ffmpeg', _SPACE)
  return count


def _send(path: Path, writer: Generator, picture: np.ndarray | None) -> None:
  """Passes a picture on; an error of ffmpeg names the file in one line."""
  try:
    writer.send(picture)
  except OSError as error:
    lines = str(error).strip().splitlines() or ['it gave no reason']
    raise InputError(path, f'was not finished by ffmpeg ({lines[-1]})', _SPACE) from error


def _is_complete(path: Path) -> bool:
  """Whether ffmpeg came to its end: it moves the index of an MP4 to the front as its last act."""
  if not path.is_file():
    return False
  data = path.read_bytes()
  return data.endswith(b';') if data.startswith(b'GIF8') else b'moov' in data[:64]


def _pictures(path: Path, frames: Iterable[np.ndarray], even: bool) -> Iterator[np.ndarray]:
  """Frames as contiguous uint8 [h w 3] of one size, padded to even sizes if asked."""
  shape = None
  for i, frame in enumerate(frames):
    frame = checked_image(f'{path}, frame {i}', frame)
    if frame.ndim != 3:
      raise InputError(f'{path}, frame {i}', 'has one channel', 'three channels')
    shape = shape or frame.shape
    if frame.shape != shape:
      (h, w, _), (first_h, first_w, _) = frame.shape, shape
      wrong = f'is {w} x {h} pixels (width x height)'
      raise InputError(f'{path}, frame {i}', wrong, f'{first_w} x {first_h} as the first frame')
    h, w, _ = shape
    pad = ((0, h % 2), (0, w % 2), (0, 0)) if even else ((0, 0),) * 3
    yield np.pad(quantise(frame), pad, mode='edge')


def _ffmpeg(path: Path):
  try:
    import imageio_ffmpeg
  except ImportError as error:
    wrong = 'cannot be written: the package imageio-ffmpeg is not installed'
    raise InputError(path, wrong, "the optional packages: pip install 'depthjax[photo]'") from error
  # Else it forks this process to start ffmpeg: with JAX's threads in it that warns, and may hang.
  os.environ.setdefault('IMAGEIO_FFMPEG_NO_PREVENT_SIGINT', '1')
  return imageio_ffmpeg
