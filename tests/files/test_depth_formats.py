"""Depth maps in files: each format round trips exactly, and bad files are named."""

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
  header = {'compression': library.ZIP_COMPRESSION, 'type': library.scanlineimage}
  with library.File(header, channels) as file:
    file.write(str(path))
  return path


@pytest.mark.parametrize('ending', ['.npy', '.pfm', '.exr', '.PFM'])
@pytest.mark.parametrize('shape', [(H, W), (H, W, 1)])
def test_float_formats_are_exact(tmp_path, disparity, ending, shape):
  path = tmp_path / f'a{ending}'
  values = disparity * 7 - 3
  write_depth(path, values.reshape(shape))
  raw = read_raw(path)
  assert raw.dtype == np.float32
  np.testing.assert_array_equal(raw, values)


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('magic', [b'Pf', b'PF'])
def test_pfm_of_both_byte_orders_starts_at_the_bottom(tmp_path, disparity, order, magic):
  values = disparity if magic == b'Pf' else np.repeat(disparity[..., None], 3, -1)
  np.testing.assert_array_equal(read_raw(pfm(tmp_path / 'a', values, order, magic)), disparity)


@pytest.mark.parametrize(
  'names', [['Z', 'R', 'G', 'B'], ['Z', 'Y'], ['Y', 'R'], ['R'], ['V.Depth.Z', 'A']]
)
@pytest.mark.parametrize('dtype', [np.float32, np.float16])
def test_exr_takes_the_first_of_z_y_r(tmp_path, disparity, names, dtype):
  channels = {name: np.full((H, W), i, dtype) for i, name in enumerate(names)}
  channels[names[0]] = disparity.astype(dtype)
  np.testing.assert_array_equal(
    read_raw(exr(tmp_path / 'a.exr', channels)), disparity.astype(dtype)
  )


@pytest.mark.parametrize(
  'name', ['NO', 'RLE', 'ZIPS', 'ZIP', 'PIZ', 'PXR24', 'B44', 'B44A', 'DWAA', 'DWAB']
)
@pytest.mark.parametrize('kind', ['scanlineimage', 'tiledimage'])
def test_exr_of_every_compression_is_complete_until_it_is_cut(tmp_path, name, kind, capfd):
  library = pytest.importorskip('OpenEXR')
  values = np.linspace(1, 2, 70 * 36, dtype=np.float32).reshape(70, 36)
  compression = getattr(library, f'{name}_COMPRESSION')
  header = {'compression': compression, 'type': getattr(library, kind)}
  if kind == 'tiledimage':
    header['tiles'] = library.TileDescription()
  path = tmp_path / 'a.exr'
  with library.File(header, {'Z': values}) as file:
    file.write(str(path))
  np.testing.assert_allclose(read_raw(path), values, rtol=1e-3)
  path.write_bytes(path.read_bytes()[:-1])
  refused(lambda: read_raw(path), path, 'truncated', 'complete EXR file')
  assert kind == 'tiledimage' or capfd.readouterr() == ('', '')


def test_exr_of_equal_colours_is_grey(tmp_path, disparity):
  channels = dict.fromkeys('RGB', disparity)
  np.testing.assert_array_equal(read_raw(exr(tmp_path / 'a.exr', channels)), disparity)


def test_other_containers(tmp_path, disparity):
  np.savez(tmp_path / 'a.npz', anything=disparity)
  np.savez_compressed(tmp_path / 'b.npz', disparity[None])
  np.save(tmp_path / 'c.npy', np.asfortranarray(disparity.astype(np.float64)))
  Image.fromarray(disparity).save(tmp_path / 'd.tif')
  for name in ('a.npz', 'b.npz', 'c.npy', 'd.tif'):
    np.testing.assert_array_equal(read_raw(tmp_path / name), disparity)


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('channels', [1, 3])
def test_grey_and_equal_channels_of_png(tmp_path, disparity, bits, channels):
  write_image(tmp_path / 'a.png', np.repeat(disparity[..., None], channels, -1), bits=bits)
  expected = np.rint(disparity * (2**bits - 1))
  np.testing.assert_array_equal(read_raw(tmp_path / 'a.png'), expected)


def test_what_is_not_finite_is_nan_in_every_format(tmp_path, disparity):
  values = disparity.copy()
  values[0, :3] = np.inf, -np.inf, np.nan
  np.save(tmp_path / 'a.npy', values)
  big = values.astype(np.float64)
  big[0, 0] = 1e300
  np.save(tmp_path / 'b.npy', big)
  np.save(tmp_path / 'd.npy', np.repeat(values[..., None], 3, -1))
  paths = [tmp_path / name for name in ('a.npy', 'b.npy', 'd.npy')]
  for path in [*paths, pfm(tmp_path / 'c.pfm', values)]:
    raw = read_raw(path)
    assert np.isnan(raw[0, :3]).all() and np.isfinite(raw).sum() == H * W - 3


@pytest.mark.parametrize('shape', [(5,), (2, 3, 4, 5), (H, W, 2), (H, W, 4), (3, H, W)])
def test_other_dimensions_are_refused(tmp_path, shape):
  path = tmp_path / 'a.npy'
  np.save(path, np.random.default_rng(0).random(shape))
  refused(lambda: read_raw(path), path, f'shape {list(shape)}', '[h w]')


def test_coloured_depth_is_refused(tmp_path, disparity):
  colours = np.stack([disparity, 1 - disparity, disparity], -1)
  write_image(tmp_path / 'a.png', colours)
  np.save(tmp_path / 'a.npy', colours)
  paths = [tmp_path / 'a.png', tmp_path / 'a.npy', pfm(tmp_path / 'a.pfm', colours, magic=b'PF')]
  paths.append(exr(tmp_path / 'a.exr', {n: colours[..., i].copy() for i, n in enumerate('RGB')}))
  for path in paths:
    refused(lambda path=path: read_raw(path), path, 'three channels that differ', 'one channel')
  path = exr(tmp_path / 'b.exr', {'U': disparity, 'V': disparity})
  refused(lambda: read_raw(path), path, 'the channels U, V', 'Z, Y or R')


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.npy', 'a.npz', 'a.pfm', 'a.exr'])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, disparity, name, capfd):
  path = tmp_path / name
  if name == 'a.npz':
    np.savez_compressed(path, disparity)
  elif name == 'a.tif':
    Image.fromarray(disparity).save(path)
  else:
    write_depth(path, disparity)
  data = path.read_bytes()
  end = len(data) - (24 if name == 'a.png' else 1)  # a PNG ends in checks, without pixels
  for cut in np.linspace(9, end, 20).astype(int):
    path.write_bytes(data[:cut])
    refused(lambda: read_raw(path), path)
  if name != 'a.tif':  # libtiff has something to say of its own
    assert capfd.readouterr() == ('', '')


def test_pickled_objects_are_not_read(tmp_path):
  path = tmp_path / 'a.npy'
  np.save(path, np.array([{'a': 1}], object), allow_pickle=True)
  refused(lambda: read_raw(path), path, 'pickled', 'never read', 'array of shape [h w]')
  np.save(path, np.ones((H, W), np.complex64))
  refused(lambda: read_raw(path), path, 'complex64', 'floats or integers')


def test_what_is_no_depth_map_is_refused(tmp_path, disparity):
  path = tmp_path / 'a.npy'
  refused(lambda: read_raw(path), path, 'does not exist', 'existing file')
  refused(lambda: read_raw(tmp_path), tmp_path, 'is a folder', 'a file')
  path.write_bytes(b'')
  refused(lambda: read_raw(path), path, 'is empty', 'complete file')
  path.write_text('some words')
  refused(lambda: read_raw(path), path, 'not a depth map', 'PNG, TIFF, NPY, NPZ, PFM or EXR')
  path.write_bytes(b'Pf\nten 10\n-1\n')
  refused(lambda: read_raw(path), path, 'broken PFM header', 'width, height and scale')
  path = tmp_path / 'a.jpg'
  write_image(path, disparity)
  refused(lambda: read_raw(path), path, 'JPEG', 'lossy', 'PNG')
  path = tmp_path / 'a.npz'
  np.savez(path, first=disparity, second=disparity)
  refused(lambda: read_raw(path), path, '2 arrays (first, second)', 'one array')
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr('a.txt', 'words')
  refused(lambda: read_raw(path), path, 'no array header', '[h w]')


@pytest.mark.parametrize('name', ['a.png', 'a.npy', 'a.npz', 'a.pfm', 'a.exr'])
def test_absurd_sizes_are_refused_by_the_header(tmp_path, disparity, name):
  path = tmp_path / name
  np.savez(path, disparity) if name == 'a.npz' else write_depth(path, disparity)
  assert read_raw(path, max_pixels=H * W).shape == (H, W)
  call = lambda: read_raw(path, max_pixels=H * W - 1)  # noqa: E731
  refused(call, path, f'{W} x {H} pixels', 'at most')


def test_a_header_of_terapixels_takes_no_memory(tmp_path):
  path = tmp_path / 'a.pfm'
  path.write_bytes(b'Pf\n900000 900000\n-1\n')
  refused(lambda: read_raw(path), '900000 x 900000', 'at most 100.0 million')
  with open(tmp_path / 'a.npy', 'wb') as file:
    header = {'descr': '<f4', 'fortran_order': False, 'shape': (900000, 900000)}
    np.lib.format.write_array_header_1_0(file, header)
  refused(lambda: read_raw(tmp_path / 'a.npy'), '900000 x 900000', 'at most 100.0 million')


def test_exr_without_its_package_names_the_extra(tmp_path, disparity, monkeypatch):
  path = tmp_path / 'a.exr'
  write_depth(path, disparity)
  monkeypatch.setitem(sys.modules, 'OpenEXR', None)
  refused(lambda: read_raw(path), path, 'not installed', "pip install 'depthjax[photo]'")
  path.unlink()
  refused(lambda: write_depth(path, disparity), path, "pip install 'depthjax[photo]'")
  assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_nothing(tmp_path, disparity):
  nan = disparity.copy()
  nan[0, 0] = np.nan
  for ending in ('png', 'npy', 'pfm', 'exr'):
    path = tmp_path / f'a.{ending}'
    refused(lambda path=path: write_depth(path, nan), path, '1 NaN', 'finite values')
  png, jpg = tmp_path / 'a.png', tmp_path / 'a.jpg'
  refused(lambda: write_depth(png, 2 * disparity), png, 'from 0 to 2', 'values in [0, 1]', '.npy')
  refused(lambda: write_depth(png, disparity[None]), png, '[1, 24, 36]', '[h w]')
  refused(lambda: write_depth(png, np.ones((2, 2), int)), png, 'int64', 'floats')
  refused(lambda: write_depth(jpg, disparity), jpg, "'.jpg'", '.png, .npy, .pfm or .exr')
  lost = tmp_path / 'no' / 'a.png'
  refused(lambda: write_depth(lost, disparity), lost, 'no folder', 'existing folder')
  assert list(tmp_path.iterdir()) == []
