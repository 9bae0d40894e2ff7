"""Animations: frames to MP4 or GIF by ffmpeg, from the package imageio-ffmpeg."""

import contextlib
import itertools
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np

from depthjax.files.atomic import check_output, replacing
from depthjax.files.errors import InputError, optional
from depthjax.files.images import checked_image, quantise

EXTENSIONS = ('.mp4', '.gif')
# Frames per second. Browsers play a GIF of more than 50 at 10.
_MAX_RATES = {'.gif': 50, '.mp4': 240}
_SPACE = 'a folder with free space'
_QUIET = {'quality': None, 'macro_block_size': 1, 'ffmpeg_log_level': 'error'}
# faststart puts the index first, for streaming. Without labels players guess the colour space from
# the size; scale converts to it, since older versions of ffmpeg only set the labels.
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
# One palette for all frames, so that static regions do not flicker.
_PALETTE = 'split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle'
_GIF = _QUIET | {
  'codec': 'gif',
  'pix_fmt_out': 'pal8',
  'output_params': ['-filter_complex', _PALETTE, '-loop', '0'],
}


def write_animation(
  path: str | os.PathLike, frames: Iterable[np.ndarray], fps: float = 30.0
) -> int:
  """Writes frames as .mp4 (H.264, yuv420p) or .gif (looping) and returns their number.

  Frames are encoded one by one, but ffmpeg holds those of a GIF in memory until the palette is
  known. Odd sizes of MP4 are padded by a copy of the last column or row.

  Args:
    path: the file; its folder must exist; an existing file is replaced atomically.
    frames: floats [h w 3] of one size, sRGB in [0, 1] (clipped beyond).
    fps: frames per second; at most 50 for GIF, 240 for MP4.

  Raises InputError: another extension, a missing folder, no frames, frames of different sizes, NaN,
  a rate out of range, imageio-ffmpeg is not installed, ffmpeg fails.
  """
  path = check_output(path, EXTENSIONS)
  is_gif, limit = path.suffix.lower() == '.gif', _MAX_RATES[path.suffix.lower()]
  if not 0 < fps <= limit:
    wrong = f'would have {fps:g} frames per second'
    raise InputError(path, wrong, f'more than 0 and at most {limit}')
  with optional(path, 'imageio-ffmpeg'):
    import imageio_ffmpeg
  # Otherwise it starts ffmpeg by a fork of this process, which warns and may hang with JAX threads.
  os.environ.setdefault('IMAGEIO_FFMPEG_NO_PREVENT_SIGINT', '1')
  pictures = _pictures(path, frames, even=not is_gif)
  first = next(pictures, None)
  if first is None:
    raise InputError(path, 'would have no frames', 'at least one frame')
  with replacing(path, EXTENSIONS) as temporary:
    size, options = first.shape[1::-1], _GIF if is_gif else _MP4
    writer = imageio_ffmpeg.write_frames(os.fspath(temporary), size, fps=fps, **options)
    with contextlib.closing(writer):
      _send(path, writer, None)  # starts the generator
      count = 0
      for picture in itertools.chain([first], pictures):
        _send(path, writer, picture)
        count += 1
    if not _is_complete(temporary):
      raise InputError(path, 'was not finished by ffmpeg', _SPACE)
  return count


def _send(path: Path, writer: Generator, picture: np.ndarray | None) -> None:
  """Sends a frame to ffmpeg; its errors become an InputError of one line."""
  try:
    writer.send(picture)
  except OSError as error:
    lines = str(error).strip().splitlines() or ['it gave no reason']
    raise InputError(path, f'was not finished by ffmpeg ({lines[-1]})', _SPACE) from error


def _is_complete(path: Path) -> bool:
  """Whether ffmpeg finished: its last step moves the index of an MP4 file to the front."""
  if not path.is_file():
    return False
  data = path.read_bytes()
  return data.endswith(b';') if data.startswith(b'GIF8') else b'moov' in data[:64]


def _pictures(path: Path, frames: Iterable[np.ndarray], even: bool) -> Iterator[np.ndarray]:
  """Yields checked frames as uint8 [h w 3], padded to even sizes if `even`."""
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
