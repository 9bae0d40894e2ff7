"""Holes of silhouettes filled, thin parts lost, jittered masks."""

import numpy as np
import pytest
from scipy import ndimage

from depthjax.data.errors import masks
from depthjax.data.scenes import shapes


def disc(r):
  y, x = np.mgrid[-int(r) : int(r) + 1, -int(r) : int(r) + 1]
  return x**2 + y**2 <= r**2


def eroded(mask, r):
  return ndimage.binary_erosion(mask, disc(r), border_value=1)


def dilated(mask, r):
  return ndimage.binary_dilation(mask, disc(r))


def silhouette(family, seed=3, size=72):
  alpha = shapes.outline(np.random.default_rng(seed), family, size, softness=1, holes=1.0)
  return np.where(alpha > 127, 255, 0).astype(np.uint8)


@pytest.fixture(name='mask', params=['puddle', 'figure', 'blob', 'branch'], scope='module')
def fixture_mask(request):
  mask = silhouette(request.param)
  mask.flags.writeable = False
  return mask


def test_amounts_of_zero_change_nothing(mask):
  np.testing.assert_array_equal(masks.filled(mask, radius=0.0, hole=0.0), mask)
  np.testing.assert_array_equal(masks.without_thin(mask, 0.0), mask)
  soft = mask.astype(np.float32) / 255
  rng = np.random.default_rng(0)
  np.testing.assert_array_equal(masks.jittered(rng, soft, 0.0, 0.0), soft)


@pytest.mark.parametrize('r', [2.5, 6.0])
def test_only_enclosed_background_and_concavities_are_filled(mask, r):
  inside = mask > 0
  holes = ndimage.binary_fill_holes(inside)
  closed = eroded(dilated(inside, r), r) | inside
  for radius, hole, want in ((0.0, 1.0, holes), (r, 0.0, closed), (r, 1.0, holes | closed)):
    got = masks.filled(mask, radius=radius, hole=hole) > 0
    np.testing.assert_array_equal(got, want)


def test_large_holes_and_background_at_the_border_are_not_filled():
  mask = np.full((40, 50), 255, np.uint8)
  mask[3:8, 3:8] = mask[20:30, 20:40] = mask[:6, 30:34] = mask[10:20, 45:] = 0
  want = mask.copy()
  want[3:8, 3:8] = 255
  np.testing.assert_array_equal(masks.filled(mask, radius=0.0, hole=25 / mask.size), want)


@pytest.mark.parametrize('width', [3.0, 5.0])
def test_only_parts_without_a_disc_of_this_width_are_lost(mask, width):
  inside = mask > 0
  want = dilated(eroded(inside, width / 2), width / 2)
  got = masks.without_thin(mask, width) > 0
  np.testing.assert_array_equal(got, want if want.sum() >= inside.sum() / 4 else inside)


def test_a_thin_pole_is_lost_and_a_thin_object_alone_is_not():
  mask = np.zeros((60, 60), np.uint8)
  mask[:30, 20:23] = 255
  np.testing.assert_array_equal(masks.without_thin(mask, 4.0), mask)
  mask[30:50, 10:40] = 255
  lost = masks.without_thin(mask, 4.0) != mask
  assert lost[:28, 20:23].all() and lost[:, :10].sum() == 0 and lost[31:].sum() < 12
  assert masks.without_thin(mask, 2.0)[:, 20:23].sum() == mask[:, 20:23].sum()  # It has 3 px.


def test_jitter_is_near_the_outline_and_seeded(mask):
  soft = mask.astype(np.float32) / 255
  near = dilated(mask > 0, 6) & ~eroded(mask > 0, 6)
  found = [masks.jittered(np.random.default_rng(seed), soft, 2.0, 1.0) for seed in (0, 1, 0)]
  for x in found:
    assert x.dtype == np.float32 and 0 <= x.min() and x.max() <= 1
    np.testing.assert_allclose(x[~near], soft[~near], atol=1e-6)
  assert np.abs(found[0] - soft).max() > 0.1 and (found[0] != found[1]).any()
  np.testing.assert_array_equal(found[0], found[2])
