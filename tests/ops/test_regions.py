"""Regions of edge pixels."""

import jax
import numpy as np
import pytest

from depthjax.ops import regions


def test_strongest_is_a_fraction_without_zeros():
  x = np.random.default_rng(0).random((2, 20, 20, 1)).astype(np.float32)
  x[1] = 0
  mask = np.asarray(regions.strongest(x, 0.05))
  assert mask[0].sum() == 20 and not mask[1].any()
  assert x[0][mask[0] > 0].min() > x[0][mask[0] == 0].max()


def _keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


@pytest.fixture(scope='module')
def blobs():
  """Four blobs in the corners of a map, far apart."""
  mask = np.zeros((1, 32, 40, 1), np.float32)
  for top, left in ((1, 2), (2, 34), (27, 1), (26, 33)):
    mask[0, top : top + 4, left : left + 4] = 1
  return mask


@pytest.mark.parametrize('seed', range(3))
def test_separate_blobs_become_regions(blobs, seed):
  found = np.asarray(jax.jit(regions.by_position, static_argnums=1)(blobs, 4, _keys(1, seed)))
  np.testing.assert_array_equal(found.sum(-1, keepdims=True), blobs)
  assert sorted(found.sum((0, 1, 2))) == [16] * 4
  for i in range(4):
    rows, columns = np.nonzero(found[0, ..., i])
    assert np.ptp(rows) == np.ptp(columns) == 3


def test_regions_do_not_depend_on_the_batch():
  mask = (np.random.default_rng(0).random((4, 24, 24, 1)) < 0.2).astype(np.float32)
  batch, half = (regions.by_position(mask[i:], 4, _keys(4)[i:]) for i in (0, 2))
  np.testing.assert_array_equal(batch[2:], half)


def test_few_pixels_leave_regions_empty(blobs):
  mask = np.zeros_like(blobs)
  mask[0, 5, 5] = 1
  found = np.asarray(regions.by_position(mask, 4, _keys(1)))
  assert found.sum() == 1 and np.isfinite(found).all()
  assert not np.asarray(regions.by_position(0 * mask, 4, _keys(1))).any()


def test_strength_divides_evenly_and_in_order(blobs):
  strength = np.random.default_rng(0).random(blobs.shape).astype(np.float32)
  found = np.asarray(regions.by_strength(blobs, strength, 4))
  np.testing.assert_array_equal(found.sum(-1, keepdims=True), blobs)
  assert (found.sum((0, 1, 2)) == 16).all()
  bounds = [strength[..., 0][found[..., i] > 0] for i in range(4)]
  assert all(a.max() < b.min() for a, b in zip(bounds, bounds[1:], strict=False))
