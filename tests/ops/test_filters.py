"""The bilateral filter against a loop over pixels."""

import numpy as np

from depthjax.ops import filters


def test_bilateral_equals_a_slow_twin():
  rng = np.random.default_rng(0)
  x, sigma_range, radius = rng.random((6, 7)), np.full((1, 1, 1, 1), 0.4), 2
  padded, expected = np.pad(x, radius, mode='edge'), np.zeros_like(x)
  offsets = np.mgrid[-radius : radius + 1, -radius : radius + 1]
  near = np.exp(-(offsets**2).sum(0) / (2 * 1.3**2))
  for i, j in np.ndindex(*x.shape):
    around = padded[i : i + 5, j : j + 5]
    weights = near * np.exp(-((around - x[i, j]) ** 2) / (2 * 0.4**2))
    expected[i, j] = (weights * around).sum() / weights.sum()
  maps, options = np.float32(x)[None, ..., None], {'sigma': 1.3, 'radius': radius}
  ours = filters.bilateral(maps, sigma_range=sigma_range, **options)
  np.testing.assert_allclose(ours[0, ..., 0], expected, rtol=1e-4)


def test_noise_is_removed_and_a_step_kept():
  rng = np.random.default_rng(1)
  step = np.zeros((1, 32, 32, 1), np.float32)
  step[:, :, 16:] = 1
  noisy = step + 0.02 * rng.standard_normal(step.shape).astype(np.float32)
  sigma_range = np.full((1, 1, 1, 1), 0.1, np.float32)
  ours = np.asarray(filters.bilateral(noisy, sigma=2.0, sigma_range=sigma_range))
  assert np.abs(ours - step).mean() < 0.5 * np.abs(noisy - step).mean()
  assert np.abs(ours - step).max() < 0.1
