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


@pytest.fixture(name='mask')
def fixture_mask():
  alpha = shapes.outline(np.random.default_rng(4), 'figure', 48, softness=1)
  return np.where(alpha > 127, 255, 0).astype(np.uint8)


@pytest.mark.parametrize('r', [1.0, 2.4, 5.0])
def test_dilation_and_erosion_are_by_a_disc(mask, r):
  np.testing.assert_array_equal(silhouettes.dilate(mask, r) > 0, distances(mask > 0) <= r)
  np.testing.assert_array_equal(silhouettes.erode(mask, r) > 0, distances(mask == 0) > r)


def test_nothing_and_everything_stay_as_they_are():
  for value in (0, 255):
    mask = np.full((20, 20), value, np.uint8)
    for change in (silhouettes.dilate, silhouettes.erode):
      np.testing.assert_array_equal(change(mask, 4.0), mask)
    np.testing.assert_array_equal(silhouettes.soften(mask, 1.5), mask)


def test_changes_stay_near_the_boundary_and_off_the_background(mask):
  stack = np.stack([mask, mask[::-1], mask])  # whatever the last one is, it stays
  scale, radius, sigma = 0.5, 6, 2.0
  bound = scale * (radius + 3 * sigma) + 1
  edge = [np.maximum(distances(m > 0), distances(m == 0)) for m in stack[:-1]]
  changed = np.zeros(2)
  for seed in range(40):
    rng = np.random.default_rng(seed)
    out = silhouettes.corrupt(rng, stack, scale=scale, radius=radius, sigma=sigma, probability=1)
    np.testing.assert_array_equal(out[-1], stack[-1])
    for i in range(2):
      np.testing.assert_array_equal(out[i][edge[i] > bound], stack[i][edge[i] > bound])
      area = (out[i] > 127).sum() - (mask > 0).sum()
      changed += area > 20, area < -20
  assert changed.min() > 15  # they grow and shrink alike


def test_probability(mask):
  stack = np.stack([mask, mask, np.full_like(mask, 255)])

  def share(probability):
    hits = [
      (
        silhouettes.corrupt(np.random.default_rng(s), stack, scale=1, probability=probability)
        != stack
      )
      for s in range(60)
    ]
    return np.any(hits, axis=(2, 3))[:, :2].mean()

  assert share(0.0) == 0
  assert 0.25 < share(0.4) < 0.55
  assert share(1.0) > 0.95


def test_silhouettes_are_not_written_to(mask):
  stack = np.stack([mask, np.full_like(mask, 255)])
  before = stack.copy()
  silhouettes.corrupt(np.random.default_rng(0), stack, scale=1, probability=1)
  np.testing.assert_array_equal(stack, before)


def test_a_thin_structure_survives_erosion():
  mask = np.zeros((40, 40), np.uint8)
  mask[:, 18:23] = 255
  stack = np.stack([mask, np.full_like(mask, 255)])
  for seed in range(40):
    rng = np.random.default_rng(seed)
    out = silhouettes.corrupt(rng, stack, scale=1, probability=1, sigma=0)
    assert (out[0] > 127).sum() >= silhouettes.LEAST * (mask > 0).sum()
