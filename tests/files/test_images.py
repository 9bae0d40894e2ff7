"""Photos survive the way to a file and back; files that are not sound are named."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from depthjax.files.errors import InputError
from depthjax.files.images import read_image, read_pixels, write_image
from tests import profiles
from tests.messages import refused

H, W = 24, 36


@pytest.fixture
def photo():
  """Smooth noise [h w 3] that reaches 0 and 1."""
  noise = np.random.default_rng(0).random((H, W, 3), np.float32)
  noise = cv2.GaussianBlur(noise, (0, 0), 2)
  return (noise - noise.min()) / (noise.max() - noise.min())


def saved(path, image, bits=8):
  write_image(path, image, bits=bits)
  return path


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('ending', ['.png', '.tif', '.TIFF'])
@pytest.mark.parametrize('shape', [(H, W, 3), (H, W, 1), (H, W)])
def test_lossless_formats_are_exact(tmp_path, ending, bits, shape):
  levels = 2**bits - 1
  stored = np.random.default_rng(1).integers(0, levels, shape, endpoint=True)
  path = saved(tmp_path / f'a{ending}', (stored / levels).astype(np.float32), bits)
  image = read_image(path)
  assert image.dtype == np.float32 and image.shape == (H, W, 3)
  np.testing.assert_array_equal(
    np.rint(image * levels), np.broadcast_to(stored.reshape(H, W, -1), (H, W, 3))
  )


@pytest.mark.parametrize('ending', ['.jpg', '.jpeg', '.webp'])
def test_lossy_formats_are_close_and_keep_the_channel_order(tmp_path, photo, ending):
  image = read_image(saved(tmp_path / f'a{ending}', photo))
  assert np.abs(image - photo).mean() < 0.02
  assert np.abs(image - photo[..., ::-1]).mean() > 0.05


def test_values_are_clipped_and_rounded_to_the_nearest(tmp_path):
  image = np.array([[-0.5, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4, 1.5]], np.float32)
  pixels = read_pixels(saved(tmp_path / 'a.png', image))
  np.testing.assert_array_equal(pixels, [[0, 0, 1, 255]])


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.png', '.jpg', '.webp', '.tif'])
def test_exif_orientation_is_applied(tmp_path, photo, ending, orientation):
  pixels = np.rint(photo * 255).astype(np.uint8)
  exif = Image.Exif()
  exif[0x0112] = orientation
  path = tmp_path / f'a{ending}'
  Image.fromarray(pixels).save(path, exif=exif, **({'quality': 95} if ending != '.tif' else {}))
  np.testing.assert_allclose(read_image(path), _turned(photo, orientation), atol=0.1)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.png', '.tif'])
def test_exif_orientation_is_applied_to_16_bits(tmp_path, photo, ending, orientation):
  path = saved(tmp_path / f'a{ending}', photo, 16)
  if ending == '.png':
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.write_bytes(_with_chunk(path.read_bytes(), b'eXIf', exif.tobytes()[6:]))
  else:
    tifffile = pytest.importorskip('tifffile')
    pixels = np.rint(photo * 65535).astype(np.uint16)
    extra = [(274, 'H', 1, orientation, True)]
    tifffile.imwrite(path, pixels, photometric='rgb', extratags=extra)
  np.testing.assert_allclose(read_image(path), _turned(photo, orientation), atol=1e-5)


def _turned(image, orientation):
  """The table of EXIF 2.3, tag 0x0112: where stored row 0 and column 0 are shown."""
  return {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x.swapaxes(0, 1), 2),
    8: np.rot90,
  }[orientation](image)


def _with_chunk(png, kind, data):
  """A PNG with one more chunk after its header."""
  chunk = io.BytesIO()
  PngImagePlugin.putchunk(chunk, kind, data)
  return png[:33] + chunk.getvalue() + png[33:]


def test_alpha_is_dropped_not_composited(tmp_path, photo):
  pixels = np.rint(photo * 255).astype(np.uint8)
  alpha = np.zeros((H, W, 1), np.uint8)
  Image.fromarray(np.concatenate([pixels, alpha], -1)).save(tmp_path / 'a.png')
  np.testing.assert_array_equal(read_pixels(tmp_path / 'a.png'), pixels)
  deep = np.concatenate([pixels, alpha], -1).astype(np.uint16) * 257
  (tmp_path / 'b.png').write_bytes(cv2.imencode('.png', deep[..., [2, 1, 0, 3]])[1].tobytes())
  np.testing.assert_array_equal(read_pixels(tmp_path / 'b.png'), deep[..., :3])


def test_tiff_of_any_byte_order_and_of_multiplied_alpha(tmp_path):
  tifffile = pytest.importorskip('tifffile')
  grey = np.random.default_rng(2).integers(0, 65535, (H, W), np.uint16)
  for order in '<>':
    tifffile.imwrite(tmp_path / 'a.tif', grey, byteorder=order)
    np.testing.assert_allclose(read_image(tmp_path / 'a.tif')[..., 0], grey / 65535, atol=1e-7)
  half = np.zeros((H, W, 4), np.uint8)
  half[...] = 50, 100, 25, 128
  extra = ['assocalpha']
  tifffile.imwrite(tmp_path / 'b.tif', half, photometric='rgb', extrasamples=extra)
  np.testing.assert_allclose(read_pixels(tmp_path / 'b.tif')[0, 0], [100, 199, 50], atol=1)


@pytest.mark.parametrize('mode', ['1', 'P', 'L', 'LA', 'CMYK'])
def test_every_mode_becomes_three_channels(tmp_path, photo, mode):
  image = Image.fromarray(np.rint(photo * 255).astype(np.uint8)).convert(mode)
  path = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
  image.save(path, **({'quality': 95} if mode == 'CMYK' else {}))
  expected = np.asarray(image.convert('RGB'), np.float32) / 255
  np.testing.assert_allclose(read_image(path), expected, atol=0.1)


def test_the_content_tells_the_kind_of_file(tmp_path, photo):
  saved(tmp_path / 'a.png', photo).rename(tmp_path / 'a.jpg')
  np.testing.assert_allclose(read_image(tmp_path / 'a.jpg'), photo, atol=0.5 / 255 + 1e-6)


def test_a_colour_profile_is_converted_to_srgb(tmp_path, photo):
  red = np.zeros((4, 4, 3), np.uint8)
  red[..., 0] = 255
  for name, mode in (('a.png', 'RGB'), ('b.png', 'P'), ('a.jpg', 'RGB')):
    image = Image.fromarray(red).convert(mode)
    image.save(tmp_path / name, icc_profile=_profile_of_swapped_primaries())
    image = read_image(tmp_path / name)
    assert image[..., 1].min() > 0.95 and image[..., [0, 2]].max() < 0.1
  # Depth maps are read through the other door: their numbers are not colours.
  np.testing.assert_array_equal(read_pixels(tmp_path / 'a.png'), red)


def _profile_of_swapped_primaries():
  """A profile whose red is the green of sRGB, and reverse."""
  red, green, blue = profiles.SRGB
  return profiles.matrix_profile(green, red, blue)


@pytest.mark.parametrize(
  'ending, bits', [('.png', 8), ('.png', 16), ('.jpg', 8), ('.webp', 8), ('.tif', 8), ('.tif', 16)]
)
def test_truncated_files_are_refused_wherever_they_end(tmp_path, photo, ending, bits):
  path = saved(tmp_path / f'a{ending}', photo, bits)
  data, whole = path.read_bytes(), read_image(path)
  cuts = np.linspace(16, len(data) - 1, 25).astype(int)
  refusals = 0
  for cut in cuts:
    path.write_bytes(data[:cut])
    try:
      image = read_image(path)
    except InputError as error:
      refusals += 1
      assert str(path) in str(error) and 'PNG, JPEG, WebP or TIFF' in str(error)
    else:  # only what follows the last pixel may be missing
      np.testing.assert_array_equal(image, whole)
  assert refusals >= len(cuts) - 1


def test_deep_png_with_exif_is_refused_in_one_line_where_it_is_truncated(tmp_path, photo, capfd):
  exif = Image.Exif()
  exif[0x0112] = 6
  path = saved(tmp_path / 'a.png', photo, 16)
  path.write_bytes(_with_chunk(path.read_bytes(), b'eXIf', exif.tobytes()[6:])[:-200])
  refused(lambda: read_image(path), path, 'truncated', 'complete file')
  assert capfd.readouterr() == ('', '')


def test_progressive_jpeg_is_no_exception(tmp_path, photo):
  path = tmp_path / 'a.jpg'
  Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(path, progressive=True)
  path.write_bytes(path.read_bytes()[:-60])
  refused(lambda: read_image(path), path, 'truncated', 'complete file')


def test_what_is_no_image_is_refused(tmp_path):
  path = tmp_path / 'photo.png'
  refused(lambda: read_image(path), path, 'does not exist', 'existing file')
  refused(lambda: read_image(tmp_path), tmp_path, 'is a folder', 'a file')
  path.write_bytes(b'')
  refused(lambda: read_image(path), path, 'is empty', 'complete file')
  path.write_text('hello, this is text')
  refused(lambda: read_image(path), path, 'not an image', 'PNG, JPEG, WebP or TIFF')
  path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(20))
  refused(lambda: read_image(path), path, 'HEIC', 'PNG, JPEG, WebP or TIFF')


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.webp', '.tif'])
def test_absurd_sizes_are_refused_before_decoding(tmp_path, photo, ending):
  path = saved(tmp_path / f'a{ending}', photo)
  assert read_image(path, max_pixels=H * W).shape == (H, W, 3)
  call = lambda: read_image(path, max_pixels=H * W - 1)  # noqa: E731
  refused(call, path, f'{W} x {H} pixels', 'at most 0.0 million')


def test_a_header_of_terapixels_is_refused_without_its_pixels(tmp_path):
  header = io.BytesIO()
  PngImagePlugin.putchunk(header, b'IHDR', struct.pack('>IIBBBBB', 90000, 60000, 8, 2, 0, 0, 0))
  PngImagePlugin.putchunk(header, b'IDAT', bytes(10))
  path = tmp_path / 'a.png'
  path.write_bytes(b'\x89PNG\r\n\x1a\n' + header.getvalue())
  refused(lambda: read_image(path), '90000 x 60000', '5,400.0 million', 'at most 100.0 million')


def test_float_tiff_is_no_photo(tmp_path, photo):
  path = tmp_path / 'a.tif'
  Image.fromarray(photo[..., 0]).save(path)
  refused(lambda: read_image(path), path, 'float32', '8- or 16-bit')
  np.testing.assert_array_equal(read_pixels(path), photo[..., 0])


def test_what_cannot_be_written_leaves_nothing(tmp_path, photo):
  nan = photo.copy()
  nan[3, 4] = np.nan
  png = tmp_path / 'a.png'
  refused(lambda: write_image(png, nan), png, '3 NaN', 'finite values')
  refused(lambda: write_image(png, np.ones((2, 2, 3), np.uint8)), png, 'uint8', 'floats')
  refused(lambda: write_image(png, photo[..., :2]), png, '[24, 36, 2]', '[h w 3]')
  refused(lambda: write_image(png, photo, bits=12), png, '12 bits', '8 bits')
  gif, bare, jpg = tmp_path / 'a.gif', tmp_path / 'a', tmp_path / 'a.jpg'
  refused(lambda: write_image(gif, photo), gif, "'.gif'", '.png, .jpg')
  refused(lambda: write_image(bare, photo), bare, 'no ending', '.png, .jpg')
  refused(lambda: write_image(jpg, photo, bits=16), jpg, '16 bits', '.png, .tif')
  webp = tmp_path / 'a.webp'
  wide = np.zeros((1, 20000), np.float32)
  refused(lambda: write_image(webp, wide), webp, '20000 x 1', 'smaller image')
  lost = tmp_path / 'no' / 'a.png'
  refused(lambda: write_image(lost, photo), lost, f'no folder {lost.parent}', 'existing folder')
  refused(lambda: write_image(tmp_path, photo), tmp_path, 'is a folder', 'file name')
  assert list(tmp_path.iterdir()) == []
