"""Reading photos: orientation, 16-bit grey, reduction by area, extended colours, refused files."""

import cv2
import numpy as np
import pytest
from PIL import Image

from depthjax.data.sources import reading
from depthjax.files.errors import InputError
from tests.data.made import flat


def test_photos_are_upright_rgb_and_reduced(tmp_path):
  image = Image.fromarray(np.repeat(flat((250, 10, 10), 40, 80), 1, 0))
  exif = Image.Exif()
  exif[0x0112] = 6  # rotated by 90 degrees
  image.save(tmp_path / 'a.jpg', exif=exif, quality=95)
  photo = reading.read_photo(tmp_path / 'a.jpg', side=20)
  assert photo.shape == (20, 10, 3)
  assert photo[..., 0].min() > 230 and photo[..., 2].max() < 40


def test_16_bit_grey_is_scaled(tmp_path):
  values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
  cv2.imwrite(str(tmp_path / 'a.png'), values)
  photo = reading.read_photo(tmp_path / 'a.png', side=64)
  np.testing.assert_array_equal(photo, np.repeat((values >> 8)[..., None], 3, 2))


def test_colours_are_extended_from_the_nearest_known_ones():
  colour = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
  known = np.zeros((40, 60), bool)
  known[10:30, 5:15], known[10:30, 45:55] = True, True
  colour[10:30, 5:15], colour[10:30, 45:55] = 40, 200
  out = reading.extend_colour(colour, known).astype(int)
  np.testing.assert_array_equal(out[known], colour[known])
  assert (out[:, :3] < 80).all() and (out[:, -3:] > 160).all()
  assert out.min() >= 39 and out.max() <= 201
  assert np.abs(np.diff(out[20, 15:45, 0])).max() < 60


@pytest.mark.parametrize('size, message', [(None, 'does not exist'), (900, 'is truncated')])
def test_bad_photos_are_refused(tmp_path, size, message):
  if size:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (tmp_path / 'a.jpg').write_bytes(cv2.imencode('.jpg', noise)[1].tobytes()[:size])
  with pytest.raises(InputError, match=f'a.jpg: {message}'):
    reading.read_photo(tmp_path / 'a.jpg', side=100)
