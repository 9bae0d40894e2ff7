"""TIFF files of many types and layouts, as depth maps and as photos."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from depthjax.files import images, tiff
from depthjax.files.depth import read_raw
from tests.messages import refused

H, W = 24, 36


def _write(path, values, **options):
  tifffile.imwrite(path, values, **options)
  return path


def _steps(dtype, *shape, bits=None):
  """Random values of a type, of its whole range if it has one."""
  kind = np.dtype(dtype)
  bits = bits or {'?': 1, 'f2': 8}.get(dtype, min(32, 8 * kind.itemsize))
  values = np.random.default_rng(0).integers(0, 2**bits - 1, (H, W, *shape), endpoint=True)
  return values.astype(kind)


@pytest.mark.parametrize('dtype', ['?', 'u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f2', 'f4', 'f8'])
@pytest.mark.parametrize(
  'options',
  [
    {},
    {'bigtiff': True, 'byteorder': '>', 'tile': (16, 16)},
    {'compression': 'lzw', 'rowsperstrip': 5},
    {'compression': 'deflate', 'predictor': True, 'byteorder': '>'},
    {'compression': 'packbits', 'photometric': 'miniswhite'},
  ],
)
def test_depth_of_every_type_and_layout_is_as_stored(tmp_path, dtype, options):
  values = _steps(dtype)
  if dtype == '?':
    options = {**options, 'predictor': False}
  raw = read_raw(_write(tmp_path / 'a', values, **{'photometric': 'minisblack', **options}))
  if 'photometric' in options:
    values = -values if dtype[0] == 'f' else ~values  # 0 is white.
  np.testing.assert_array_equal(raw, values.astype(np.float32))


@pytest.mark.parametrize('white_is_zero', [False, True])
@pytest.mark.parametrize('bits', [1, 2, 4, 8, 10, 12, 14, 16])
def test_photos_of_few_bits_have_full_range(tmp_path, bits, white_is_zero):
  values, top = _steps('u1' if bits <= 8 else 'u2', bits=bits), 2**bits - 1
  photometric = 'miniswhite' if white_is_zero else 'minisblack'
  stored = values.astype(bool) if bits == 1 else values
  _write(tmp_path / 'a', stored, bitspersample=bits, photometric=photometric)
  expected = (top - values if white_is_zero else values).astype(np.float32)
  np.testing.assert_array_equal(read_raw(tmp_path / 'a'), expected)
  image = images.read_image(tmp_path / 'a')
  np.testing.assert_allclose(image[..., 1], expected / top, atol=1 / 65535)


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('channels', [3, 4])
@pytest.mark.parametrize('dtype', ['u1', 'u2'])
@pytest.mark.parametrize('options', [{}, {'tile': (16, 16), 'compression': 'zstd'}])
def test_colours_of_both_layouts_with_and_without_alpha(tmp_path, planar, channels, dtype, options):
  values = _steps(dtype, channels)
  stored = np.moveaxis(values, -1, 0) if planar == 'separate' else values
  options = {**options, 'planarconfig': planar, 'photometric': 'rgb'}
  if channels == 4:
    options['extrasamples'] = ['unassalpha']
  _write(tmp_path / 'a', stored, **options)
  np.testing.assert_array_equal(images.read_pixels(tmp_path / 'a'), values[..., :3])
  alpha = tiff.read(tmp_path / 'a', H * W).alpha
  np.testing.assert_array_equal(alpha, values[..., 3] if channels == 4 else None)


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA', 'LA', 'P', 'CMYK', 'YCbCr', '1'])
@pytest.mark.parametrize('compression', ['raw', 'jpeg', 'tiff_lzw', 'group4'])
def test_photos_are_as_pillow_reads_them(tmp_path, photo, mode, compression):
  image = Image.fromarray(np.rint(photo * 255).astype(np.uint8)).convert(mode)
  if (mode == '1') != (compression == 'group4') or (mode, compression) == ('P', 'jpeg'):
    return
  image.save(tmp_path / 'a.tif', compression=compression)
  with Image.open(tmp_path / 'a.tif') as image:
    expected = np.asarray(image.convert('L' if mode in ('1', 'L', 'LA') else 'RGB'))
  np.testing.assert_array_equal(images.read_pixels(tmp_path / 'a.tif'), expected)


_LARGE = (48, 72), {'subfiletype': 1}  # A reduced image nevertheless.


def _pages(path, *pages):
  with tifffile.TiffWriter(path) as writer:
    for shape, options in pages:
      values = np.full(shape, shape[0], bool if options.get('photometric') == 4 else np.uint8)
      writer.write(values, **{'photometric': 'minisblack', **options})
  return path


@pytest.mark.parametrize(
  'pages, said',
  [
    ([((12, 16), {}), ((H, W), {}), ((12, 16), {})], True),
    ([((12, 16), {'subfiletype': 1, 'subifds': 1}), ((H, W), {}), _LARGE], False),
    ([((H, W), {}), _LARGE, ((48, 72), {'subfiletype': 4, 'photometric': 4})], False),
    ([((H, W), {'subfiletype': 1})], False),
  ],
)
def test_largest_page_is_read(tmp_path, caplog, pages, said):
  raw = read_raw(_pages(tmp_path / 'a.tif', *pages))
  np.testing.assert_array_equal(raw, np.full((H, W), H))
  assert (f'3 pages; one of {W} x {H} pixels' in caplog.text) == said == bool(caplog.text)


def test_pages_may_be_a_circle(tmp_path):
  path = _pages(tmp_path / 'a.tif', ((H, W), {}), ((12, 16), {}))
  data = path.read_bytes()
  with tifffile.TiffFile(path) as file:
    first, second = (page.offset for page in file.pages)
  for after, new in ((second, first), (first, first)):
    end = after + 2 + 12 * int.from_bytes(data[after : after + 2], 'little')
    path.write_bytes(data[:end] + new.to_bytes(4, 'little') + data[end + 4 :])
    np.testing.assert_array_equal(read_raw(path), np.full((H, W), H))


def test_strips_without_data_are_refused(tmp_path):
  path = _write(tmp_path / 'a.tif', _steps('u1'), compression='lzw', rowsperstrip=5)
  with tifffile.TiffFile(path, mode='r+') as file:
    tag = file.pages.first.tags['StripByteCounts']
    tag.overwrite((0, *tag.value[1:]))
  refused(lambda: read_raw(path), path, 'strips or tiles are missing', 'complete')


def test_orientation_of_a_picture_in_a_sub_page_is_that_of_the_first_page(tmp_path):
  with tifffile.TiffWriter(tmp_path / 'a.tif') as writer:
    turned = [(274, 'H', 1, 6, True)]
    writer.write(np.zeros((6, 9), np.uint8), subfiletype=1, subifds=1, extratags=turned)
    writer.write(_steps('u1'))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.tif'), np.rot90(_steps('u1'), -1))


def test_missing_memory_is_an_input_error(tmp_path, monkeypatch):
  monkeypatch.setattr(tifffile.TiffPage, 'asarray', lambda *_, **__: [0] * 2**62)
  path = _write(tmp_path / 'a.tif', _steps('u1'))
  refused(lambda: read_raw(path), path, 'does not fit into the memory', 'more memory')


def test_raw_files_of_cameras_are_refused(tmp_path):
  thumbnail = (12, 16, 3), {'photometric': 'rgb', 'subifds': 1}
  _pages(tmp_path / 'a.tif', thumbnail, ((H, W), {'photometric': 'cfa'}))
  _pages(tmp_path / 'a.NEF', thumbnail, ((12, 16), {}))
  (tmp_path / 'a.cr3').write_bytes(b'\0\0\0\x18ftypcrx ' + bytes(99))
  (tmp_path / 'a.orf').write_bytes(b'IIRO' + bytes(99))
  for path in tmp_path.iterdir():
    refused(lambda path=path: images.read_image(path), path, 'raw data', 'developed')


@pytest.mark.parametrize(
  'shape, options, parts',
  [
    ((H, W, 3), {'photometric': 'cielab'}, 'colours of the type CIELAB'),
    ((H, W, 5), {'photometric': 'minisblack', 'planarconfig': 'contig'}, '5 channels'),
    ((H, W), {'photometric': 'minisblack', 'dtype': 'c8'}, 'complex'),
  ],
)
def test_other_samples_are_refused(tmp_path, shape, options, parts):
  values = np.zeros(shape, options.pop('dtype', 'u1'))
  refused(lambda: read_raw(_write(tmp_path / 'a', values, **options)), tmp_path / 'a', parts)
