"""Depth maps inside portrait-mode photos: GDepth in JPEG files, depth images in HEIC files."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from depthjax.files import embedded
from tests import portraits
from tests.messages import refused

H, W = 12, 16
_LEVELS = np.arange(H * W, dtype=np.uint8).reshape(H, W)


def _save(path, *xmp, **options):
  return portraits.save(path, (2 * H, 2 * W), *xmp, **options)


@pytest.mark.parametrize('elements', [False, True])
@pytest.mark.parametrize('extended', [False, True])
def test_inverse_range_is_affine_in_disparity(tmp_path, elements, extended):
  fields = {'Format': 'RangeInverse', 'Near': 0.5, 'Far': 4.0, 'Mime': 'image/png'}
  data = portraits.packet(elements, Data=portraits.encoded(_LEVELS))
  if extended:
    path = _save(tmp_path / 'a.jpg', portraits.packet(elements, **fields), data)
  else:
    path = _save(
      tmp_path / 'a.jpg', portraits.packet(elements, **fields, Data=portraits.encoded(_LEVELS))
    )
  raw, convention = embedded.read(path)
  levels = _LEVELS / 255
  depth = 4 * 0.5 / (4 - levels * (4 - 0.5))  # The formula of the specification.
  assert convention == 'disparity' and raw.dtype == np.float32
  np.testing.assert_allclose(raw, 1 / depth, rtol=1e-5)


@pytest.mark.parametrize('kind, levels', [('JPEG', _LEVELS), ('PNG', 257 * _LEVELS.astype('u2'))])
def test_linear_range_is_depth(tmp_path, kind, levels):
  fields = {
    'Format': 'RangeLinear',
    'Near': 0.5,
    'Far': 4.0,
    'Data': portraits.encoded(levels, kind),
  }
  raw, convention = embedded.read(_save(tmp_path / 'a.jpg', portraits.packet(**fields)))
  assert convention == 'depth'
  np.testing.assert_allclose(raw, 0.5 + 3.5 * _LEVELS / 255, atol=3.5 * 2 / 255)


@pytest.mark.parametrize('limits', [{}, {'Near': 0, 'Far': 0}, {'Near': 3, 'Far': 2}])
def test_without_a_range_far_is_large(tmp_path, limits):
  raw, convention = embedded.read(
    _save(tmp_path / 'a', portraits.packet(**limits, Data=portraits.encoded(_LEVELS)))
  )
  assert convention == 'disparity'
  np.testing.assert_allclose(raw, 1 - _LEVELS / 255, atol=1e-6)


def test_orientation_of_the_photo_is_applied(tmp_path):
  packet = portraits.packet(Data=portraits.encoded(_LEVELS))
  raw, _ = embedded.read(_save(tmp_path / 'a.jpg', packet, orientation=6))
  np.testing.assert_allclose(raw, np.rot90(1 - _LEVELS / 255, -1), atol=1e-6)


def test_photos_without_depth_are_refused(tmp_path):
  path = tmp_path / 'a.jpg'
  for packet in ('', portraits.packet(Near=1)):
    _save(path, packet)
    refused(lambda: embedded.read(path), path, 'no depth map inside', 'a depth map')
  for data in ('', 'AAAA', portraits.encoded(_LEVELS)[:60]):
    _save(path, portraits.packet(Data=data))
    refused(lambda: embedded.read(path), path, 'damaged', 'GDepth')
  _save(path, portraits.packet(Data=portraits.encoded(_LEVELS), Near='x'))
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
  refused(lambda: embedded.read(path), path, 'pillow-heif', "pip install 'depthjax[heif]'")
