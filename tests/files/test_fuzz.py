"""Damaged files of every format: they are read or refused by an InputError, and nothing else."""

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from depthjax.files import depth, embedded, images
from depthjax.files.errors import InputError
from tests import portraits, processes

COUNT, MEMORY = 5000, 2**30
_PIXELS = 2_000_000
_SHAPE = H, W = 12, 16
_INTERESTING = np.array([0, 1, 127, 128, 255], np.uint8)
_TIFF = (
  {},
  {'compression': 'lzw', 'predictor': True, 'rowsperstrip': 5},
  {'compression': 'zlib', 'tile': (16, 16), 'bigtiff': True, 'byteorder': '>'},
  {'compression': 'jpeg', 'photometric': 'ycbcr', 'subsampling': (2, 2)},
  {'compression': 'packbits', 'planarconfig': 'separate'},
)


def _write_files(folder):
  """A small file of every format, colour and grey, with 8 and 16 bits."""
  colours = np.random.default_rng(0).random((*_SHAPE, 3), np.float32)
  grey = colours[..., 0]
  for bits, image in ((8, colours), (16, colours), (8, grey), (16, grey)):
    images.write_image(folder / f'{bits}{image.ndim}.png', image, bits=bits)
  levels = images.quantise(colours)
  for extension in ('jpg', 'webp', 'bmp', 'ppm', 'gif'):
    Image.fromarray(levels).save(folder / f'a.{extension}')
  for i, options in enumerate(_TIFF):
    values = np.moveaxis(levels, -1, 0) if 'planarconfig' in options else levels
    tifffile.imwrite(folder / f'{i}.tif', values, **{'photometric': 'rgb', **options})
  Image.fromarray(levels).convert('1').save(folder / 'fax.tif', compression='group4')
  tifffile.imwrite(folder / 'float.tif', grey.astype(np.float64))
  images.write_image(folder / 'grey.jpg', grey)
  for extension in depth.EXTENSIONS:
    depth.write_depth(folder / f'depth{extension}', grey)
  np.savez_compressed(folder / 'depth.npz', a=grey, b=grey)
  xmp = portraits.packet(Near=1, Far=2, Data=portraits.encoded(levels[..., 0]))
  portraits.save(folder / 'portrait.jpg', _SHAPE, xmp[:200], xmp)
  try:
    import pillow_heif
  except ImportError:
    return
  pillow_heif.from_pillow(Image.fromarray(levels).resize((64, 64))).save(folder / 'a.heic')


def _damaged(data, rng):
  """Bytes with a few changes: most in the first 256, where the headers are."""
  for _ in range(rng.integers(1, 5)):
    size = len(data)
    start = int(rng.integers(min(size, 256) if rng.random() < 0.6 else size))
    stop = start + int(rng.integers(1, 2 ** rng.integers(1, 8)))
    kind = rng.integers(6)
    if kind == 0:
      data = data[: max(start, 8)]
    elif kind == 1:
      data = data[:start] + data[stop:] or data
    elif kind == 2:
      data = data[:start] + data[start:stop] + data[start:]
    elif kind == 3:
      data = data[:start] + rng.bytes(min(stop, size) - start) + data[stop:]
    else:
      data = data[:start] + bytes([rng.choice(_INTERESTING)]) * int(kind - 3) + data[start + 1 :]
  return data


def fuzz(folder, seed=0, count=COUNT):
  """Reads damaged files; keeps those that end in other errors, and says so in faults.txt."""
  folder = Path(folder)
  _write_files(folder)
  files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
  used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
  resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
  names, rng = list(files), np.random.default_rng(seed)
  for i in range(count):
    name = names[i % len(names)]
    path = folder / f'damaged-{name}'
    path.unlink(missing_ok=True)  # Some filesystems flush files that are overwritten.
    path.write_bytes(_damaged(files[name], rng))
    for read in (images.read_photo, depth.read_raw, embedded.read):
      try:
        read(path, max_pixels=_PIXELS)
      except InputError:
        pass
      except Exception as error:
        kept = path.rename(folder / f'{i}-{name}')
        with open(folder / 'faults.txt', 'a') as file:
          print(f'{kept}: {read.__module__}: {type(error).__name__}: {error}', file=file)
        break


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='memory is limited as on Linux')
def test_damaged_files_are_read_or_refused(tmp_path):
  code = 'from tests.files import test_fuzz; test_fuzz.fuzz(*__import__("sys").argv[1:])'
  done = processes.python(code, tmp_path)
  faults = tmp_path / 'faults.txt'
  assert not faults.exists(), faults.read_text()
  # A crash: its file is the newest one.
  assert done.returncode == 0, (done.returncode, done.stderr[-500:], tmp_path)
