"""Photos: round trips through every format, orientation, profiles, and files that are refused."""

import contextlib
import io
import struct
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from depthjax.files.errors import InputError
from depthjax.files.images import read_image, read_photo, read_pixels, write_image
from depthjax.files.metadata import Metadata
from tests import profiles
from tests.messages import refused

H, W = 24, 36
FORMATS = [('.png', 8), ('.jpg', 8), ('.webp', 8), ('.tif', 8), ('.png', 16), ('.tif', 16)]


def saved(path, image, bits=8):
  write_image(path, image, bits=bits)
  return path


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('extension', ['.png', '.TIFF'])
@pytest.mark.parametrize('shape', [(H, W, 3), (H, W, 1), (H, W)])
def test_lossless_formats_are_exact(tmp_path, extension, bits, shape):
  levels = 2**bits - 1
  stored = np.random.default_rng(1).integers(0, levels, shape, endpoint=True)
  path = saved(tmp_path / f'a{extension}', (stored / levels).astype(np.float32), bits)
  image = read_image(path)
  assert image.dtype == np.float32 and image.shape == (H, W, 3)
  expected = np.broadcast_to(stored.reshape(H, W, -1), (H, W, 3))
  np.testing.assert_array_equal(np.rint(image * levels), expected)


def test_jpeg_has_quality_95_and_no_chroma_subsampling(tmp_path, photo):
  options = cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111
  bgr = np.rint(photo[..., ::-1] * 255).astype(np.uint8)
  expected = cv2.imdecode(cv2.imencode('.jpg', bgr, options)[1], cv2.IMREAD_COLOR)[..., ::-1]
  pixels = read_pixels(saved(tmp_path / 'a.jpeg', photo)).astype(int)
  assert np.abs(pixels - expected).max() <= 1


def test_values_are_clipped_and_rounded(tmp_path):
  image = np.array([[-0.5, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4, 1.5]], np.float32)
  pixels = read_pixels(saved(tmp_path / 'a.png', image))
  np.testing.assert_array_equal(pixels, [[0, 0, 1, 255]])


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('extension, bits', FORMATS)
def test_exif_orientation_is_applied(tmp_path, photo, extension, bits, orientation):
  path, exif = tmp_path / f'a{extension}', Image.Exif()
  exif[0x0112] = orientation
  if bits == 8:
    options = {} if extension == '.tif' else {'quality': 95}
    Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(path, exif=exif, **options)
  elif extension == '.png':
    png = saved(path, photo, 16).read_bytes()
    path.write_bytes(png[:33] + _chunk(b'eXIf', exif.tobytes()[6:]) + png[33:])
  else:
    pixels, tag = np.rint(photo * 65535).astype(np.uint16), (0x0112, 'H', 1, orientation, True)
    tifffile = pytest.importorskip('tifffile')
    tifffile.imwrite(path, pixels, photometric='rgb', extratags=[tag])
  atol = 1e-5 if bits == 16 else 0.1
  np.testing.assert_allclose(read_image(path), _upright(photo, orientation), atol=atol)


def _upright(image, orientation):
  """EXIF 2.3, tag 0x0112; from 5 on, rows and columns are exchanged first."""
  image = image.swapaxes(0, 1) if orientation > 4 else image
  rows = -1 if orientation in (3, 4, 7, 8) else 1
  columns = -1 if orientation in (2, 3, 6, 7) else 1
  return image[::rows, ::columns]


def _chunk(kind, data):
  """A chunk of a PNG file."""
  chunk = io.BytesIO()
  PngImagePlugin.putchunk(chunk, kind, data)
  return chunk.getvalue()


@pytest.mark.parametrize('orientation', [1, 6])
@pytest.mark.parametrize('extension, bits', FORMATS)
def test_alpha_is_kept_and_upright(tmp_path, photo, caplog, extension, bits, orientation):
  """JPEG cannot hold it and says so, unless everything is opaque."""
  path, alpha, exif = tmp_path / f'a{extension}', 0.9 * photo[..., :1] ** 2, Image.Exif()
  alpha[:, :18] = 0
  exif[0x0112] = orientation
  turned = Metadata(exif.tobytes())
  write_image(path, photo, bits=bits, alpha=alpha, metadata=turned)
  if extension == '.jpg':
    assert 'a.jpg: a JPEG holds no alpha, which is dropped' in caplog.text
    write_image(path, photo, alpha=np.ones_like(alpha))
    assert len(caplog.records) == 1
    return
  read = read_photo(path)
  assert read.bits == bits
  if extension == '.tif':
    with Image.open(path) as image:
      assert image.tag_v2[338] == (2,)  # The fourth channel is unassociated alpha.
  np.testing.assert_allclose(read.alpha, _upright(alpha, orientation), atol=0.5 / (2**bits - 1))
  atol = 0.1 if extension == '.webp' else 0.5 / (2**bits - 1)
  np.testing.assert_allclose(read.image, _upright(photo, orientation), atol=atol)


@pytest.mark.parametrize('mode', ['LA', 'P', 'RGB'])
def test_alpha_of_every_mode_is_read(tmp_path, photo, mode):
  image = Image.fromarray(np.rint(photo * 255).astype(np.uint8)).convert(mode)
  if mode == 'LA':
    image.putalpha(Image.fromarray(np.rint(photo[..., 0] * 255).astype(np.uint8)))
  else:
    image.info['transparency'] = image.getpixel((0, 0))
  image.save(tmp_path / 'a.png')
  expected = np.asarray(image.convert('RGBA'))[..., 3:] / 255
  assert expected.min() < 0.1
  np.testing.assert_allclose(read_photo(tmp_path / 'a.png').alpha, expected, atol=1e-6)


@pytest.mark.parametrize('orientation', [1, 6, 8])
@pytest.mark.parametrize('extension', ['.heic', '.avif'])
def test_heic_and_avif_are_read_upright(tmp_path, photo, extension, orientation):
  path, exif = tmp_path / f'a{extension}', Image.Exif()
  exif[0x0112], exif[0x010F] = orientation, 'Maker'
  image = Image.fromarray(np.rint(photo * 255).astype(np.uint8))
  options = {'exif': exif.tobytes(), 'icc_profile': profiles.matrix_profile(*profiles.P3)}
  if extension == '.heic':
    pillow_heif = pytest.importorskip('pillow_heif')
    pillow_heif.from_pillow(image).save(path, quality=95, **options)
  else:
    image.save(path, quality=95, **options)
  read, kept = read_photo(path), Image.Exif()
  np.testing.assert_allclose(read.image, _upright(photo, orientation), atol=0.15)
  kept.load(read.metadata.exif)
  assert dict(kept) == {0x010F: 'Maker'}
  assert (read.bits, read.alpha, read.metadata.profile) == (8, None, options['icc_profile'])


def test_alpha_is_dropped_without_compositing(tmp_path, photo):
  pixels = np.rint(photo * 255).astype(np.uint8)
  rgba = np.concatenate([pixels, np.zeros((H, W, 1), np.uint8)], -1)
  Image.fromarray(rgba).save(tmp_path / 'a.png')
  np.testing.assert_array_equal(read_pixels(tmp_path / 'a.png'), pixels)
  deep = rgba.astype(np.uint16) * 257
  (tmp_path / 'b.png').write_bytes(cv2.imencode('.png', deep[..., [2, 1, 0, 3]])[1].tobytes())
  np.testing.assert_array_equal(read_pixels(tmp_path / 'b.png'), deep[..., :3])


@pytest.mark.parametrize('mode', ['1', 'P', 'L', 'LA', 'CMYK'])
def test_every_mode_becomes_three_channels_whatever_the_name(tmp_path, photo, mode):
  image = Image.fromarray(np.rint(photo * 255).astype(np.uint8)).convert(mode)
  image.save(tmp_path / 'a.jpg', 'TIFF' if mode == 'CMYK' else 'PNG')
  expected = np.asarray(image.convert('RGB'), np.float32) / 255
  np.testing.assert_allclose(read_image(tmp_path / 'a.jpg'), expected, atol=1e-6)


@pytest.mark.parametrize('name, mode', [('a.png', 'RGB'), ('b.png', 'P'), ('a.jpg', 'RGB')])
def test_colour_profile_is_converted_to_srgb(tmp_path, name, mode):
  red = np.zeros((4, 4, 3), np.uint8)
  red[..., 0] = 255
  swapped = profiles.matrix_profile(*np.array(profiles.SRGB)[[1, 0, 2]])  # red is green
  Image.fromarray(red).convert(mode).save(tmp_path / name, icc_profile=swapped)
  image = read_image(tmp_path / name)
  assert image[..., 1].min() > 0.95 and image[..., [0, 2]].max() < 0.1
  np.testing.assert_allclose(read_pixels(tmp_path / name), red, atol=1)


@pytest.mark.parametrize('extension, bits', FORMATS)
def test_truncated_files_are_refused(tmp_path, photo, extension, bits):
  path = saved(tmp_path / f'a{extension}', photo, bits)
  data, complete = path.read_bytes(), read_image(path)
  for cut in np.linspace(16, len(data) - 1, 25).astype(int)[:-1]:
    path.write_bytes(data[:cut])
    refused(lambda: read_image(path), path, 'TIFF')
  path.write_bytes(data[:-1])
  with contextlib.suppress(InputError):  # The last byte may hold no pixels.
    np.testing.assert_array_equal(read_image(path), complete)


def test_other_files_are_refused(tmp_path, photo, monkeypatch):
  path = tmp_path / 'photo.png'
  path.write_text('hello, this is text')
  refused(lambda: read_image(path), path, 'not an image', 'PNG, JPEG, WebP or TIFF')
  path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(20))
  refused(lambda: read_image(path), path, 'cannot be opened', 'PNG, JPEG, WebP or TIFF')
  monkeypatch.setitem(sys.modules, 'pillow_heif', None)
  refused(lambda: read_image(path), path, 'needs the package pillow-heif', 'depthjax[heif]')
  (tmp_path / 'a.CR3').write_bytes(b'\0\0\0\x18ftypcrx ' + bytes(20))
  refused(lambda: read_image(tmp_path / 'a.CR3'), 'raw data', 'a photo developed from it')
  Image.fromarray(photo[..., 0]).save(tmp_path / 'a.tif')
  refused(lambda: read_image(tmp_path / 'a.tif'), 'a.tif', 'float32', '8- or 16-bit')
  np.testing.assert_array_equal(read_pixels(tmp_path / 'a.tif'), photo[..., 0])


def test_size_in_the_header_is_limited(tmp_path, photo):
  path = saved(tmp_path / 'a.jpg', photo)
  assert read_image(path, max_pixels=H * W).shape == (H, W, 3)
  refused(lambda: read_image(path, max_pixels=H * W - 1), path, f'{W} x {H} pixels', 'at most')


def test_huge_size_is_refused_before_decoding(tmp_path):
  path, header = tmp_path / 'a.png', struct.pack('>IIBBBBB', 90000, 60000, 8, 2, 0, 0, 0)
  path.write_bytes(b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', header) + _chunk(b'IDAT', bytes(10)))
  refused(lambda: read_image(path), '90000 x 60000', '5,400.0 million', 'at most 100.0 million')


@pytest.mark.parametrize(
  'name, image, bits, parts',
  [
    ('a.png', np.full((2, 2, 3), np.nan), 8, ('12 NaN', 'finite values')),
    ('a.png', np.ones((2, 2, 3), np.uint8), 8, ('uint8', 'floats')),
    ('a.png', np.ones((2, 3, 2)), 8, ('[2, 3, 2]', '[h w 3]')),
    ('a.png', np.ones((2, 2)), 12, ('12 bits', '8 bits')),
    ('a.gif', np.ones((2, 2)), 8, ("'.gif'", '.png, .jpg')),
    ('a.jpg', np.ones((2, 2)), 16, ('16 bits', '.png, .tif')),
    ('a.jpg', np.zeros((1, 70000), np.float32), 8, ('70000 x 1', 'smaller image')),
    ('a.webp', np.zeros((1, 20000), np.float32), 8, ('20000 x 1', 'smaller image')),
  ],
)
def test_invalid_output_is_refused(tmp_path, name, image, bits, parts):
  path = tmp_path / name
  refused(lambda: write_image(path, image, bits=bits), path, *parts)
  assert list(tmp_path.iterdir()) == []
