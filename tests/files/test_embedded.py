"""Depth maps inside portrait-mode photos: GDepth in JPEG files, depth images in HEIC files."""

import base64
import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from depthjax.files import embedded
from tests.messages import refused

H, W = 12, 16
_LEVELS = np.arange(H * W, dtype=np.uint8).reshape(H, W)
_ATTRIBUTES = '<rdf:Description xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" {}/>'
_ELEMENTS = "<rdf:Description xmlns:g='http://ns.google.com/photos/1.0/depthmap/'>{}</x>"


def _data(levels, kind='PNG'):
  file = io.BytesIO()
  Image.fromarray(levels).save(file, kind, **({'quality': 100} if kind == 'JPEG' else {}))
  return base64.b64encode(file.getvalue()).decode().rstrip('=')  # As Google's camera does.


def _packet(as_elements=False, **fields):
  if as_elements:
    return _ELEMENTS.format(''.join(f'<g:{k}>{v}</g:{k}>' for k, v in fields.items()))
  return _ATTRIBUTES.format(' '.join(f'GDepth:{k}="{v}"' for k, v in fields.items()))


def _segment(data):
  return b'\xff\xe1' + (len(data) + 2).to_bytes(2, 'big') + data


def _photo(path, packet, extension='', step=100, orientation=1):
  """A JPEG with XMP, and extended XMP in parts of `step` bytes, the last one first."""
  file, exif = io.BytesIO(), Image.Exif()
  exif[0x0112] = orientation
  Image.fromarray(np.zeros((2 * H, 2 * W, 3), np.uint8)).save(file, 'JPEG', exif=exif)
  segments, extension = [], extension.encode()
  for start in range(0, len(extension), step):
    position = len(extension).to_bytes(4, 'big') + start.to_bytes(4, 'big')
    header = b'http://ns.adobe.com/xmp/extension/\0' + b'36BE52D449F3E6B9' * 2 + position
    segments.insert(0, _segment(header + extension[start : start + step]))
  segments.insert(0, _segment(b'http://ns.adobe.com/xap/1.0/\0' + packet.encode()))
  jpeg = file.getvalue()
  path.write_bytes(jpeg[:2] + b''.join(segments) + jpeg[2:])
  return path


@pytest.mark.parametrize('elements', [False, True])
@pytest.mark.parametrize('extended', [False, True])
def test_inverse_range_is_affine_in_disparity(tmp_path, elements, extended):
  fields = {'Format': 'RangeInverse', 'Near': 0.5, 'Far': 4.0, 'Mime': 'image/png'}
  data = _packet(elements, Data=_data(_LEVELS))
  if extended:
    path = _photo(tmp_path / 'a.jpg', _packet(elements, **fields), data)
  else:
    path = _photo(tmp_path / 'a.jpg', _packet(elements, **fields, Data=_data(_LEVELS)))
  raw, convention = embedded.read(path)
  levels = _LEVELS / 255
  depth = 4 * 0.5 / (4 - levels * (4 - 0.5))  # The formula of the specification.
  assert convention == 'disparity' and raw.dtype == np.float32
  np.testing.assert_allclose(raw, 1 / depth, rtol=1e-5)


@pytest.mark.parametrize('kind, levels', [('JPEG', _LEVELS), ('PNG', 257 * _LEVELS.astype('u2'))])
def test_linear_range_is_depth(tmp_path, kind, levels):
  fields = {'Format': 'RangeLinear', 'Near': 0.5, 'Far': 4.0, 'Data': _data(levels, kind)}
  raw, convention = embedded.read(_photo(tmp_path / 'a.jpg', _packet(**fields)))
  assert convention == 'depth'
  np.testing.assert_allclose(raw, 0.5 + 3.5 * _LEVELS / 255, atol=3.5 * 2 / 255)


@pytest.mark.parametrize('limits', [{}, {'Near': 0, 'Far': 0}, {'Near': 3, 'Far': 2}])
def test_without_a_range_far_is_large(tmp_path, limits):
  raw, convention = embedded.read(_photo(tmp_path / 'a', _packet(**limits, Data=_data(_LEVELS))))
  assert convention == 'disparity'
  np.testing.assert_allclose(raw, 1 - _LEVELS / 255, atol=1e-6)


def test_orientation_of_the_photo_is_applied(tmp_path):
  packet = _packet(Data=_data(_LEVELS))
  raw, _ = embedded.read(_photo(tmp_path / 'a.jpg', packet, orientation=6))
  np.testing.assert_allclose(raw, np.rot90(1 - _LEVELS / 255, -1), atol=1e-6)


def test_photos_without_depth_are_refused(tmp_path):
  path = tmp_path / 'a.jpg'
  for packet in ('', _packet(Near=1), 'GDepth:Data="abc"'):
    _photo(path, packet)
    refused(lambda: embedded.read(path), path, 'no depth map inside', 'a depth map')
  for data in ('', 'AAAA', _data(_LEVELS)[:60]):
    _photo(path, _packet(Data=data))
    refused(lambda: embedded.read(path), path, 'damaged', 'GDepth')
  _photo(path, _packet(Data=_data(_LEVELS), Near='x'))
  refused(lambda: embedded.read(path), path, 'damaged', 'GDepth')
  Image.fromarray(_LEVELS).save(tmp_path / 'a.png')
  refused(lambda: embedded.read(tmp_path / 'a.png'), 'a.png', 'no depth map inside')
  refused(lambda: embedded.read(tmp_path / 'b.png'), 'b.png', 'does not exist')


class _Depth:
  """As pillow_heif.HeifDepthImage, which it cannot write."""

  size = W, H

  def __init__(self, **metadata):
    self.info = {'metadata': metadata}

  def __array__(self, dtype=None, copy=None):
    return _LEVELS


@pytest.mark.parametrize(
  'metadata, expected, convention',
  [
    ({}, _LEVELS / 255, 'disparity'),
    ({'representation_type': 1}, _LEVELS / 255, 'disparity'),
    ({'representation_type': 2, 'z_near': 1, 'z_far': 3}, 1 + _LEVELS / 127.5, 'depth'),
    ({'representation_type': 2}, 1 - _LEVELS / 255, 'disparity'),
  ],
)
def test_depth_image_of_a_heic(tmp_path, monkeypatch, metadata, expected, convention):
  library = pytest.importorskip('pillow_heif')
  path = tmp_path / 'a.heic'
  library.from_pillow(Image.fromarray(np.zeros((64, 64, 3), np.uint8))).save(path)
  refused(lambda: embedded.read(path), path, 'no depth map inside')
  opened = types.SimpleNamespace(info={'depth_images': [_Depth(**metadata)]})
  monkeypatch.setattr(library, 'open_heif', lambda *_, **__: opened)
  raw, found = embedded.read(path)
  assert found == convention
  np.testing.assert_allclose(raw, expected, atol=1e-6)
  monkeypatch.setitem(sys.modules, 'pillow_heif', None)
  refused(lambda: embedded.read(path), path, 'pillow-heif', "pip install 'depthjax[photo]'")
