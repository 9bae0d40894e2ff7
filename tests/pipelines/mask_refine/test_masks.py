"""Masks of objects: bad input, sizes, compositing, the farther side and the sequence."""

import numpy as np
import pytest

from depthjax.files.errors import InputError
from depthjax.pipelines.mask_refine import fill, masks

_SHAPE = (20, 30)
_HALF = np.zeros((*_SHAPE, 1), np.float32)
_HALF[:, :12] = 1


def _with(value):
  mask = _HALF.copy()
  mask[3, 4] = value
  return mask


@pytest.mark.parametrize(
  ('mask', 'message'),
  [
    (
      0 * _HALF,
      r'm\.png: is empty: none of 30 x 20 pixels are above one half; expected a mask with',
    ),
    (0 * _HALF + 0.5, 'is empty'),
    (0 * _HALF + 1, 'is full: all of 30 x 20'),
    (_with(np.nan), r'has NaN; expected values in \[0, 1\]'),
    (255 * _HALF, 'has values from 0 to 255'),
    (np.repeat(_HALF, 3, axis=-1), r'has the shape \[20, 30, 3\]; expected one channel'),
    (_HALF[:0], r'has the shape \[0, 30, 1\]'),
    (_HALF[:15], 'is 30 x 15 pixels but the depth map is 30 x 20'),
    (_HALF.transpose(1, 0, 2), 'as if one of them were turned'),
  ],
)
def test_bad_masks_are_refused(mask, message):
  with pytest.raises(InputError, match=message):
    masks.checked(mask, _SHAPE, 'm.png')


def test_masks_get_the_size_of_the_map():
  large = np.kron(_HALF[..., 0], np.ones((3, 3), np.float32))
  for mask in (_HALF, large, large > 0):
    found = masks.checked(mask, _SHAPE)
    np.testing.assert_array_equal(found, _HALF)
    assert found.dtype == np.float32
  small = masks.checked(_HALF, (40, 60))
  assert small.shape == (40, 60, 1) and small[:, :23].all() and not small[:, 25:].any()
  with pytest.raises(InputError, match='is empty'):  # It vanishes at the size of the map.
    masks.checked(np.eye(40, 60) * (np.arange(60) == 9), _SHAPE)


def test_composite_mixes_nothing_unless_soft():
  layers = masks.Layers(*np.random.default_rng(0).random((2, *_HALF.shape), np.float32))
  mask = _with(0.25)
  hard = np.where(mask > 0.5, layers.inside, layers.outside)
  np.testing.assert_array_equal(masks.composite(layers, mask), hard)
  soft = masks.composite(layers, mask, soft=True)
  inside, outside = (layer[3, 4] for layer in layers)
  np.testing.assert_allclose(soft[3, 4], 0.25 * inside + 0.75 * outside, rtol=1e-6)
  np.testing.assert_array_equal(np.delete(soft, 4, 1), np.delete(hard, 4, 1))


def test_the_farther_side_is_noticed():
  """At the border: most of this object is farther than the background."""
  disparity = np.where(_HALF > 0.5, np.float32(0.6), 0.2)
  disparity[:, :8] = 0
  for mask, expected in ((_HALF, False), (1 - _HALF, True)):
    assert masks.farther(fill.layers(disparity, mask, distance=0), mask) == expected


def test_masks_are_ordered_from_far_to_near():
  near, far = np.zeros((2, *_HALF.shape), np.float32)
  near[8:, 6:16], far[2:12, 10:24] = 1, 1
  disparity = 0.1 + np.where(near > 0, 0.8, np.where(far > 0, 0.4, 0)).astype(np.float32)
  for given in ({'near': near, 'far': far}, {'far': far, 'near': near}):
    assert [name for name, _ in masks.farthest_first(disparity, given)] == ['far', 'near']
