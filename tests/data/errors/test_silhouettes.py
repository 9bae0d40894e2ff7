"""Corrupted silhouettes."""

import numpy as np
import pytest

from depthjax.data.errors import silhouettes
from depthjax.data.scenes import shapes


def distances(mask):
  """Distance of every pixel to the nearest pixel of the mask, by comparing all pairs."""
  y, x = np.nonzero(mask)
  rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
  return np.hypot(rows[..., None] - y, columns[..., None] - x).min(-1)


def corrupted(stack, seed, **options):
  rng, options = np.random.default_rng(seed), {'scale': 1, 'probability': 1, **options}
  return silhouettes.corrupt(rng, stack, **options)


@pytest.fixture(name='mask', scope='module')
def fixture_mask():
  alpha = shapes.outline(np.random.default_rng(4), 'figure', 48, softness=1)
  mask = np.where(alpha > 127, 255, 0).astype(np.uint8)
  mask.flags.writeable = False
  return mask


@pytest.mark.parametrize('r', [1.0, 2.4, 5.0])
def test_dilation_and_erosion_use_a_disc(mask, r):
  np.testing.assert_array_equal(silhouettes.dilate(mask, r) > 0, distances(mask > 0) <= r)
  np.testing.assert_array_equal(silhouettes.erode(mask, r) > 0, distances(mask == 0) > r)


@pytest.mark.parametrize('value', [0, 255])
def test_empty_and_full_masks_do_not_change(value):
  mask = np.full((20, 20), value, np.uint8)
  for change in (silhouettes.dilate, silhouettes.erode, silhouettes.soften):
    np.testing.assert_array_equal(change(mask, 4.0), mask)


def test_changes_are_near_the_boundary_and_not_in_the_background(mask):
  stack = np.stack([mask, mask[::-1], mask])
  before, scale, radius, sigma = stack.copy(), 0.5, 6, 2.0
  bound = scale * (radius + 3 * sigma) + 1
  edge = np.stack([np.maximum(distances(m > 0), distances(m == 0)) for m in stack[:-1]])
  changed = np.zeros(2)
  for seed in range(40):
    out = corrupted(stack, seed, scale=scale, radius=radius, sigma=sigma)
    np.testing.assert_array_equal(out[-1], stack[-1])
    np.testing.assert_array_equal(out[:-1][edge > bound], stack[:-1][edge > bound])
    for changed_mask in out[:-1]:
      area = (changed_mask > 127).sum() - (mask > 0).sum()
      changed += area > 20, area < -20
  assert changed.min() > 15  # Dilation and erosion are equally likely.
  np.testing.assert_array_equal(stack, before)


def test_probability_is_the_fraction_of_changed_silhouettes(mask):
  stack = np.stack([mask, mask, np.full_like(mask, 255)])
  for probability, low, high in ((0.0, 0, 0), (0.4, 0.25, 0.55), (1.0, 0.95, 1)):
    hits = [corrupted(stack, s, probability=probability) != stack for s in range(60)]
    assert low <= np.any(hits, axis=(2, 3))[:, :2].mean() <= high


def test_erosion_keeps_thin_structures():
  mask = np.zeros((40, 40), np.uint8)
  mask[:, 18:23] = 255
  for seed in range(40):
    out = corrupted(np.stack([mask, np.full_like(mask, 255)]), seed, sigma=0)
    assert (out[0] > 127).sum() >= silhouettes.MIN_AREA * (mask > 0).sum()
