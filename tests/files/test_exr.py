"""EXR files as 3D programs write them: the depth channel is found, and others are not depth."""

import numpy as np
import pytest

from depthjax.files.exr import read_exr
from tests.messages import refused

OpenEXR = pytest.importorskip('OpenEXR')
H, W = 24, 36
_HEADER = {'compression': OpenEXR.ZIP_COMPRESSION, 'type': OpenEXR.scanlineimage}
_NORMALS = 'Normal.X Normal.Y Normal.Z'


def _write(path, *parts, **header):
  """One or more parts {channel: values}, named part0, part1."""
  made = [{**_HEADER, **header, 'name': f'part{i}'} for i in range(len(parts))]  # Part changes it.
  parts = [OpenEXR.Part(*part) for part in zip(made, parts, strict=True)]
  with OpenEXR.File(parts) as file:
    file.write(str(path))
  return path


def _named(names, values=0):
  return {name: np.full((H, W), values, np.float32) for name in names.split()}


def _read(path, channel=None):
  return read_exr(path, H * W, channel)


@pytest.mark.parametrize(
  'wanted, others, said',
  [
    ('Z', f'R G B A P.X P.Y P.Z {_NORMALS}', False),
    ('Depth.V', 'Image.R Image.G Image.B Image.A Alpha.V', False),
    ('L.Depth.Z', f'L.Combined.R L.Combined.G L.Combined.B {_NORMALS} L.Mist.Z', False),
    ('Depth.Z', 'Z.A Depth.V L.Depth.Z', False),
    ('L.Depth.left.R', 'R', False),
    ('depth', 'R G B', False),
    ('VRayZDepth.X', 'R G B', False),
    ('V', 'U.V.U', True),
    ('Mist.Z', f'R G B L.UV.U L.UV.V {_NORMALS}', True),
    ('Y', 'R', True),
    ('R', 'A', True),
    ('R G B', 'A', False),
    ('anything', '', False),
  ],
)
@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.uint32])
def test_depth_is_found_by_its_name(tmp_path, disparity, caplog, wanted, others, said, dtype):
  values = (1000 * disparity).astype(dtype)
  channels = _named(others) | dict.fromkeys(wanted.split(), values)
  np.testing.assert_array_equal(_read(_write(tmp_path / 'a.exr', channels)), values)
  assert (f'read from {wanted}' in caplog.text) == said == bool(caplog.text)


def test_channels_of_all_parts_are_compared(tmp_path, disparity):
  path = _write(tmp_path / 'a.exr', _named('R G B'), {'Z': disparity, 'N.Z': disparity + 1})
  np.testing.assert_array_equal(_read(path), disparity)
  np.testing.assert_array_equal(_read(path, 'part1.n.z'), disparity + 1)
  np.testing.assert_array_equal(_read(path, 'N.Z'), disparity + 1)
  listed = 'part0.B, part0.G, part0.R, part1.N.Z, part1.Z'
  refused(lambda: _read(path, 'z.n'), "no channel 'z.n'", listed, '--channel')
  _write(path, {'Z': disparity}, {'Z': disparity})
  refused(lambda: _read(path), 'several', 'part0.Z, part1.Z', '--channel')
  refused(lambda: _read(path, 'Z'), "several channels 'Z'", 'part0.Z, part1.Z', '--channel')
  np.testing.assert_array_equal(_read(path, 'part1.Z'), disparity)


@pytest.mark.parametrize(
  'names',
  ['X Y Z', _NORMALS, 'UV.U UV.V UV.A', 'Y RY BY', 'A.R A.G A.B B.R B.G B.B', 'A IndexOB.X'],
)
def test_files_without_depth_are_refused(tmp_path, names):
  path = _write(tmp_path / 'a.exr', _named(names))
  refused(lambda: _read(path), 'no depth among', ', '.join(sorted(names.split())), '--channel')
  np.testing.assert_array_equal(_read(path, names.split()[0].lower()), np.zeros((H, W)))


def test_colours_are_not_depth(tmp_path, disparity):
  colours = {name: i + disparity for i, name in enumerate('RGB')}
  path = _write(tmp_path / 'a.exr', colours | _named(_NORMALS))
  refused(lambda: _read(path), 'three channels that differ', 'B, G, Normal.X', '--channel')


@pytest.mark.parametrize('left, top', [(-3, -5), (4, 2), (-3, 2), (50, 0), (-50, -50)])
def test_result_has_the_size_of_the_display_window(tmp_path, disparity, left, top):
  def window(x, y, h, w):
    return np.array([x, y], np.int32), np.array([x + w - 1, y + h - 1], np.int32)

  h, w = 20, 30
  windows = {'dataWindow': window(left, top, H, W), 'displayWindow': window(0, 0, h, w)}
  path = _write(tmp_path / 'a.exr', {'Z': disparity}, **windows)
  expected = np.full((200, 200), np.nan, np.float32)
  expected[100 + top :, 100 + left :][:H, :W] = disparity
  np.testing.assert_array_equal(_read(path), expected[100 : 100 + h, 100 : 100 + w])
  refused(lambda: read_exr(path, H * W - 1), f'{W} x {H} pixels', 'at most')


def test_tiled_files_are_read_and_deep_ones_refused(tmp_path, disparity):
  tiles = {'type': OpenEXR.tiledimage, 'tiles': OpenEXR.TileDescription()}
  path = _write(tmp_path / 'a.exr', {'Z': disparity}, **tiles)
  np.testing.assert_array_equal(_read(path), disparity)
  deep = np.empty((H, W), object)
  deep[:] = [[np.ones(2, np.float32)] * W] * H
  _write(path, {'Z': deep}, type=OpenEXR.deepscanline, compression=OpenEXR.ZIPS_COMPRESSION)
  refused(lambda: _read(path), 'one value of Z in every pixel', 'not deep')
