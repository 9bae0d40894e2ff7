"""The simulated predictor: amplitude and location of each error."""

import cv2
import numpy as np
import pytest

from depthjax.data.errors import components, noise
from tests.data import made

TRUTH = made.truth()


def simulated(truth, seed=0, fraction=1.0, **fields):
  resolution, amplitudes = (round(fraction * len(truth)),) * 2, noise.Amplitudes(**fields)
  rng = np.random.default_rng(seed)
  return noise.simulate(rng, truth, resolution=resolution, amplitudes=amplitudes)


def test_zero_amplitudes_at_full_resolution_give_the_truth():
  np.testing.assert_array_equal(simulated(TRUTH), TRUTH)
  assert (simulated(TRUTH, fraction=0.5) != TRUTH).any()


def test_constant_truth_stays_constant():
  flat = np.full((32, 32), 0.3, np.float32)
  out = simulated(flat, fraction=0.5, offset=0.1, gain=0.5, edge=0.5, smooth=0.1)
  np.testing.assert_allclose(out, flat, atol=1e-6)


def test_regions_of_one_patch_have_independent_offsets():
  """A step inside a patch: the error is smooth on both sides of it, and jumps across it."""
  truth = np.zeros((64, 64), np.float32)
  truth[:, 32:] = 1
  errors = np.stack([simulated(truth, s, offset=0.1, patch=0.5) - truth for s in range(20)])
  across, along = errors[..., 29] - errors[..., 34], errors[..., 24] - errors[..., 29]
  assert np.std(across) > 2 * np.std(along) > 0.01
  assert 0.04 < np.std(errors) < 0.12


def test_gain_scales_the_relief_of_a_region_about_its_mean():
  truth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
  errors = np.stack([simulated(truth, seed, gain=0.5, patch=1.0) - truth for seed in range(60)])
  spread = errors.std(axis=(0, 1))
  assert spread[[4, -5]].min() > 2 * spread[28:36].max()


def test_patches_blend_without_seams():
  """The error of a constant map changes no more at the ends of patches than elsewhere."""
  truth = np.zeros((64, 64), np.float32)
  truth[0, 0] = 1  # Gives the map a range.
  errors = [simulated(truth, seed, offset=0.1, patch=0.25)[8:, 8:] for seed in range(60)]
  for order in (1, 2):  # Patches of 16 px begin at every eighth pixel.
    step = np.abs(np.diff(errors, order, axis=2)).mean(axis=(0, 1))
    assert step.max() < 2.5 * step.mean() and step.min() > 0


@pytest.mark.parametrize('shape, size', [((16, 16), 8), ((20, 33), 6), ((7, 9), 16)])
def test_tilings_have_unit_weight_per_pixel_and_separate_patches(shape, size):
  tiling = components.patches(shape, size)
  np.testing.assert_allclose(tiling.weights.sum(0), 1, atol=1e-6)
  assert len(np.unique(tiling.positions)) == tiling.positions.size
  labels, count = components.label(np.zeros(shape, bool), tiling)
  assert set(np.unique(labels)) == set(range(1, count))
  for number in range(1, count):
    _, rows, columns = np.nonzero(labels.reshape(4, *shape) == number)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height <= size and width <= size and len(rows) == height * width


def test_gaussians_are_near_edges_and_scale_with_the_step():
  error = simulated(TRUTH, edge=0.3) - TRUTH
  distance = cv2.distanceTransform((~noise.edges(TRUTH)).astype(np.uint8), cv2.DIST_L2, 5)
  assert (error != 0)[distance == 0].mean() > 0.9
  assert not error[distance > 6 * max(noise.SIGMAS)].any()
  scaled = simulated(3 * TRUTH, edge=0.3) - 3 * TRUTH
  assert np.std(scaled) == pytest.approx(3 * np.std(error), rel=1e-3)


def test_splat_has_the_given_height_and_width():
  for kind, sigma in enumerate(noise.SIGMAS):
    out = noise.splat(np.array([15 * 31 + 15]), np.array([kind]), np.array([2.0]), (31, 31))
    want = 2 * np.exp(-0.5 * (np.arange(-15, 16) / sigma) ** 2)
    np.testing.assert_allclose(out[15], want, atol=0.12 if sigma < 0.8 else 0.03)


def test_white_noise_is_independent_per_pixel_of_the_prediction():
  error = simulated(TRUTH, white=0.03) - TRUTH
  assert np.std(error) == pytest.approx(0.03 * np.ptp(TRUTH), rel=0.05)
  for a, b in ((error[1:], error[:-1]), (error[:, 1:], error[:, :-1])):
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.08
  coarse = simulated(TRUTH, fraction=0.25, white=0.03) - simulated(TRUTH, fraction=0.25)
  assert np.std(np.diff(coarse, axis=0)) < 0.5 * np.std(np.diff(error, axis=0))


def test_smooth_noise_is_smooth_with_unit_std_everywhere():
  rng = np.random.default_rng(0)
  draws = np.stack([noise.smooth(rng, (48, 40), 3) for _ in range(300)])
  assert draws.shape[1:] == (48, 40) and draws.dtype == np.float32
  assert 0.8 < draws.std(0).min() and draws.std(0).max() < 1.2
  assert np.abs(draws.mean(0)).max() < 0.3
  assert np.diff(draws, axis=1).std() < 0.12 and np.abs(np.diff(draws, axis=1)).max() < 0.7


def test_shared_error_keeps_the_range_and_adds_no_edges():
  assert noise.with_shared_error(np.random.default_rng(0), TRUTH, 0.0) is TRUTH
  error = noise.with_shared_error(np.random.default_rng(0), TRUTH, 0.05) - TRUTH
  assert 0.01 < error.std() < 0.15
  inside = ~cv2.dilate(noise.edges(TRUTH).astype(np.uint8), np.ones((3, 3))).astype(bool)
  assert noise.steps(error)[inside].max() < noise.STEP
