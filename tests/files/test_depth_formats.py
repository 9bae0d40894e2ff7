"""Depth maps in files: every format is read and written exactly; bad files are refused."""

import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from depthjax.files.depth import read_raw, write_depth
from depthjax.files.images import write_image
from tests.messages import refused

H, W = 24, 36


def pfm(path, values, order='<', magic=b'Pf'):
  scale = b'-0.0039' if order == '<' else b'0.0039'
  h, w = values.shape[:2]
  data = values[::-1].astype(f'{order}f4').tobytes()
  path.write_bytes(magic + b'\n%d %d\n' % (w, h) + scale + b'\n' + data)
  return path


def exr(path, channels):
  library = pytest.importorskip('OpenEXR')
  header = {'compression': library.PIZ_COMPRESSION, 'type': library.scanlineimage}
  with library.File(header, channels) as file:
    file.write(str(path))
  return path


@pytest.mark.parametrize('extension', ['.npy', '.pfm', '.exr', '.PFM', '.tif'])
@pytest.mark.parametrize('shape', [(H, W), (H, W, 1)])
def test_float_formats_are_exact(tmp_path, disparity, extension, shape):
  path, values = tmp_path / f'a{extension}', disparity * 7 - 3
  write_depth(path, values.reshape(shape))
  np.testing.assert_array_equal(read_raw(path), values, strict=True)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('channels', [1, 3])
def test_grey_and_equal_channels_of_png(tmp_path, disparity, bits, channels):
  write_image(tmp_path / 'a.png', np.repeat(disparity[..., None], channels, -1), bits=bits)
  expected = np.rint(disparity * (2**bits - 1))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.png'), expected)


def test_numpy_and_tiff_files_and_grey_exr(tmp_path, disparity):
  np.savez(tmp_path / 'a.npz', anything=disparity)
  np.savez_compressed(tmp_path / 'b.npz', disparity[None])
  np.save(tmp_path / 'c.npy', np.asfortranarray(disparity.astype(np.float64)))
  Image.fromarray(disparity).save(tmp_path / 'd.tif')
  exr(tmp_path / 'e.exr', dict.fromkeys('RGB', disparity))
  for path in tmp_path.iterdir():
    np.testing.assert_array_equal(read_raw(path), disparity)


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('magic', [b'Pf', b'PF'])
def test_pfm_of_both_byte_orders_starts_at_the_bottom_row(tmp_path, disparity, order, magic):
  values = disparity if magic == b'Pf' else np.repeat(disparity[..., None], 3, -1)
  np.testing.assert_array_equal(read_raw(pfm(tmp_path / 'a', values, order, magic)), disparity)


def test_infinite_values_and_nan_are_kept(tmp_path, disparity):
  values = disparity.astype(np.float64)
  values[0, :3] = np.inf, -np.inf, np.nan
  write_depth(tmp_path / 'written.npy', np.where(np.isposinf(values), values, disparity))
  assert read_raw(tmp_path / 'written.npy')[0, 0] == np.inf
  values[0, 0] = 1e300  # Beyond float32.
  np.save(tmp_path / 'a.npy', values)
  np.save(tmp_path / 'b.npy', np.repeat(values[..., None], 3, -1))
  values[0, 0] = np.inf
  pfm(tmp_path / 'c.pfm', values)
  exr(tmp_path / 'd.exr', {'Z': values.astype(np.float16)})
  for name in ('a.npy', 'b.npy', 'c.pfm', 'd.exr'):
    raw = read_raw(tmp_path / name)
    np.testing.assert_array_equal(raw[0, :3], [np.inf, -np.inf, np.nan])
    assert np.isfinite(raw).sum() == H * W - 3


@pytest.mark.parametrize('shape', [(1, 1, H, W), (1, H, W, 1), (1, 1, H, W, 1), (1, H, W, 3)])
def test_axes_of_length_1_are_dropped(tmp_path, disparity, shape):
  values = np.repeat(disparity[..., None], shape[-1], -1) if shape[-1] == 3 else disparity
  np.save(tmp_path / 'a.npy', values.reshape(shape))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.npy'), disparity)


@pytest.mark.parametrize('shape', [(5,), (2, 3, 4, 5), (H, W, 2), (H, W, 4), (3, H, W)])
def test_other_shapes_are_refused(tmp_path, shape):
  path = tmp_path / 'a.npy'
  np.save(path, np.random.default_rng(0).random(shape))
  refused(lambda: read_raw(path), path, f'shape {list(shape)}', '[h w]')


def test_channels_that_differ_are_refused(tmp_path, disparity):
  colours = np.stack([disparity, 1 - disparity, disparity], -1)
  write_image(tmp_path / 'a.png', colours)
  pfm(tmp_path / 'a.pfm', colours, magic=b'PF')
  for path in tmp_path.iterdir():
    refused(lambda path=path: read_raw(path), path, 'three channels that differ', 'one channel')


def npy(header):
  """An NPY file with a header, and values of 9 bytes."""
  return b'\x93NUMPY\x01\0' + len(header).to_bytes(2, 'little') + header + bytes(9)


@pytest.mark.parametrize(
  'header',
  [
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, ",  # TokenError
    b"{'descr': '<f4', b'fortran_order': False, 'shape': (3, 3)}",  # TypeError
    b"{'descr': [(None, '<f4')], 'fortran_order': False, 'shape': (3, 3)}",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 3)}",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (3%s, 3)}" % (b'0' * 30),
    b"{'descr': '<f4', 'fortran_order': False, 'shape': ((3, 3), 3)}",
    b'(' * 3000,  # MemoryError or RecursionError
    b'-' * 9000 + b'1',
    b'\0\xff',
  ],
)
def test_damaged_headers_of_npy_are_refused(tmp_path, header):
  (tmp_path / 'a.npy').write_bytes(npy(header))
  refused(lambda: read_raw(tmp_path / 'a.npy'), 'a.npy')
  with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as archive:
    archive.writestr('x.npy', npy(header))
  refused(lambda: read_raw(tmp_path / 'a.npz'), 'a.npz')


def test_npy_headers_of_python_2_are_read(tmp_path, disparity):
  header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (24L, 36L)}"
  (tmp_path / 'a.npy').write_bytes(npy(header)[:-9] + disparity.tobytes())
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.npy'), disparity)


def test_arrays_of_npz_are_named(tmp_path, disparity):
  path = tmp_path / 'a.npz'
  np.savez(path, depth=disparity, confidence=1 - disparity)
  np.testing.assert_array_equal(read_raw(path, channel='confidence'), 1 - disparity)
  refused(lambda: read_raw(path), '(depth, confidence)', '--channel')
  refused(lambda: read_raw(path, channel='Z'), '(depth, confidence)', '--channel')


def test_grey_jpeg_is_read_with_a_warning_and_names_of_channels_are_ignored(
  tmp_path, disparity, caplog
):
  for image in (disparity, np.repeat(disparity[..., None], 3, -1)):
    write_image(tmp_path / 'a.jpg', image)
    raw = read_raw(tmp_path / 'a.jpg', channel='Z')
    np.testing.assert_allclose(raw, 255 * disparity, atol=3)
    assert 'lossy' in caplog.text and '--channel=Z is ignored' in caplog.text


@pytest.fixture(params=['a.png', 'a.npy', 'a.npz', 'a.pfm', 'a.exr', 'a.tif'])
def file(request, tmp_path, disparity):
  """A depth map in each format."""
  path = tmp_path / request.param
  if path.suffix == '.npz':
    np.savez_compressed(path, disparity)
  elif path.suffix == '.tif':
    Image.fromarray(disparity).save(path)
  else:
    write_depth(path, disparity)
  return path


def test_truncated_files_are_refused(file):
  data = file.read_bytes()
  end = len(data) - (24 if file.suffix == '.png' else 1)  # the last bytes of a PNG hold no pixels
  for cut in np.linspace(9, end, 20).astype(int):
    file.write_bytes(data[:cut])
    refused(lambda: read_raw(file), file)


def test_size_in_the_header_is_limited_before_values_are_read(file):
  assert read_raw(file, max_pixels=H * W).shape == (H, W)
  if file.suffix != '.npz':  # Its directory is at the end.
    file.write_bytes(file.read_bytes()[:-30])
  refused(lambda: read_raw(file, max_pixels=H * W - 1), file, f'{W} x {H} pixels', 'at most')


@pytest.mark.parametrize(
  'name, write, wrong',
  [
    ('a.npy', lambda path: path.write_text('some words'), 'not a depth map'),
    ('a.pfm', lambda path: path.write_bytes(b'Pf\nten 10\n-1\n'), 'invalid PFM header'),
    ('a.npy', lambda path: path.write_bytes(b'\x93NUMPY\x07\0'), 'no readable array header'),
    ('a.npy', lambda path: np.save(path, np.array([{}], object)), 'pickled'),
    ('a.npy', lambda path: np.save(path, np.ones((H, W), complex)), 'complex128'),
    ('a.npz', lambda path: np.savez(path, first=1, second=[2]), '2 arrays (first, second)'),
    ('a.jpg', lambda path: write_image(path, np.eye(3)[np.eye(H, W, dtype=int)]), 'that differ'),
  ],
)
def test_other_files_are_refused(tmp_path, name, write, wrong):
  write(tmp_path / name)
  refused(lambda: read_raw(tmp_path / name), tmp_path / name, wrong)


def test_missing_openexr_is_refused_with_its_extra(tmp_path, disparity, monkeypatch):
  path = exr(tmp_path / 'a.exr', {'Y': disparity})
  monkeypatch.setitem(sys.modules, 'OpenEXR', None)
  refused(lambda: read_raw(path), path, 'not installed', "pip install 'depthjax[photo]'")
  path.unlink()
  refused(lambda: write_depth(path, disparity), path, "pip install 'depthjax[photo]'")
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
  'name, values, parts',
  [
    ('a.npy', np.full((2, 2), np.nan), ('4 NaN', 'finite values')),
    ('a.png', 2 * np.eye(3), ('from 0 to 2', 'values in [0, 1]', '.npy')),
    ('a.png', np.ones((2, 3, 4)), ('[2, 3, 4]', '[h w]')),
    ('a.png', np.ones((2, 3, 3)), ('three channels', '[h w]')),
    ('a.png', np.ones((2, 2), int), ('int64', 'floats')),
    ('a.jpg', np.ones((2, 2)), ("'.jpg'", '.png, .npy, .pfm, .exr, .tif or .tiff')),
  ],
)
def test_invalid_output_is_refused(tmp_path, name, values, parts):
  path = tmp_path / name
  refused(lambda: write_depth(path, values), path, *parts)
  assert list(tmp_path.iterdir()) == []
