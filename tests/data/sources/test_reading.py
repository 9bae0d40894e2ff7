"""Reading one photo: upright, reduced by area, colour beneath soft edges, and every bad file."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from depthjax.data.sources import reading
from tests.data.made import flat, write


def header_only(path, w, h):
  """A PNG that claims a size and holds no pixels."""
  data = b'\x89PNG\r\n\x1a\n'
  for kind, body in ((b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 2, 0, 0, 0)), (b'IDAT', b'')):
    data += struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
  path.write_bytes(data)


def test_photos_are_upright_rgb_and_reduced(tmp_path):
  image = Image.fromarray(np.repeat(flat((250, 10, 10), 40, 80), 1, 0))
  exif = Image.Exif()
  exif[0x0112] = 6  # the camera was held upright
  image.save(tmp_path / 'a.jpg', exif=exif, quality=95)
  photo = reading.read_photo(tmp_path / 'a.jpg', side=20)
  assert photo.shape == (20, 10, 3)
  assert photo[..., 0].min() > 230 and photo[..., 2].max() < 40


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
  values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
  cv2.imwrite(str(tmp_path / 'a.png'), values)
  photo = reading.read_photo(tmp_path / 'a.png', side=64)
  np.testing.assert_array_equal(photo, np.repeat((values >> 8)[..., None], 3, 2))


def test_reduction_is_the_area_mean():
  image = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
  small = reading.reduce(image, 12)
  want = image.reshape(8, 3, 12, 3, 3).mean(axis=(1, 3))
  np.testing.assert_allclose(small, want, atol=0.51)
  assert reading.reduce(image, 36) is image


def test_colours_extend_smoothly_from_what_is_near():
  colour = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
  known = np.zeros((40, 60), bool)
  known[10:30, 5:15], known[10:30, 45:55] = True, True
  colour[10:30, 5:15], colour[10:30, 45:55] = 40, 200
  out = reading.extend_colour(colour, known).astype(int)
  np.testing.assert_array_equal(out[known], colour[known])
  assert (out[:, :3] < 80).all() and (out[:, -3:] > 160).all()
  assert out.min() >= 39 and out.max() <= 201
  assert np.abs(np.diff(out[20, 15:45, 0])).max() < 60


def bad_inputs(root):
  write(root / 'ok.png', flat(5))
  (root / 'note.jpg').write_text('not a picture')
  (root / 'short.jpg').write_bytes(_jpeg()[:200])
  header_only(root / 'wide.png', 9000, 9000)
  header_only(root / 'huge.png', 60000, 60000)


def _jpeg():
  image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
  return cv2.imencode('.jpg', image)[1].tobytes()


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('gone.jpg', 'no such file'),
    ('note.jpg', 'not an image; give a JPEG or PNG'),
    ('short.jpg', 'the file is damaged .*; write it anew'),
    ('wide.png', '9000x9000 is over the limit of 80000000 pixels'),
    ('huge.png', 'over the limit of 80000000 pixels'),
  ],
)
def test_bad_photo(tmp_path, name, message):
  bad_inputs(tmp_path)
  with pytest.raises(ValueError, match=f'{name}: {message}') as caught:
    reading.read_photo(tmp_path / name, side=100)
  assert '\n' not in str(caught.value)
