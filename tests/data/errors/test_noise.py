"""The simulated predictor: consistent or sharp, and without error where it is told to be."""

import cv2
import numpy as np
import pytest

from depthjax.data.errors import components, noise
from tests.data import made


@pytest.fixture(name='truth', scope='module')
def fixture_truth():
  return made.truth()


def simulated(truth, seed=0, share=1.0, **amplitudes):
  size = round(share * truth.shape[0])
  return noise.simulate(
    np.random.default_rng(seed),
    truth,
    resolution=(size, size),
    amplitudes=noise.Amplitudes(**amplitudes),
  )


def regions(truth):
  """Labels of what lies between edges, 0 at and beside them."""
  inside = cv2.erode((~noise.edges(truth)).astype(np.uint8), np.ones((5, 5), np.uint8))
  return cv2.connectedComponents(inside, connectivity=4)[1]


def residuals(truth, prediction):
  """What no affine map of a region explains: its deviation, a region each."""
  labels, out = regions(truth), []
  for number in range(1, labels.max() + 1):
    own = labels == number
    if own.sum() >= 30:
      design = np.stack([truth[own], np.ones(own.sum())], 1)
      rest = prediction[own] - design @ np.linalg.lstsq(design, prediction[own], rcond=None)[0]
      out.append(np.sqrt(np.mean(rest**2)))
  assert len(out) > 3
  return np.array(out)


def test_no_error_at_full_resolution_is_the_truth(truth):
  np.testing.assert_array_equal(simulated(truth), truth)
  assert (simulated(truth, share=0.5) != truth).any()


def test_what_is_not_known_is_filled_from_beside_it(truth):
  valid = np.ones(truth.shape, bool)
  valid[10:20, :] = False
  holed = np.where(valid, truth, 50)
  out = noise.simulate(np.random.default_rng(0), holed, valid, resolution=(48, 48))
  assert out.max() < 1.2


def test_a_flat_truth_stays_flat():
  flat = np.full((32, 32), 0.3, np.float32)
  out = simulated(flat, share=0.5, offset=0.1, gain=0.5, edge=0.5, smooth=0.1)
  np.testing.assert_allclose(out, flat, atol=1e-6)


def test_a_prediction_is_a_function_of_the_generator(truth):
  fields = {'share': 0.5, 'offset': 0.05, 'edge': 0.2, 'smooth': 0.05}
  one = simulated(truth, seed=3, **fields)
  np.testing.assert_array_equal(one, simulated(truth, seed=3, **fields))
  assert np.abs(one - simulated(truth, seed=4, **fields)).max() > 0.02


def test_less_amplitude_is_a_smaller_affine_residual_of_regions(truth):
  few, many = (
    np.mean([residuals(truth, simulated(truth, seed, offset=x)) for seed in range(6)])
    for x in (0.01, 0.08)
  )
  assert many > 6 * few > 0


def test_regions_are_offset_independently_within_a_patch():
  """A step with a patch about it: the error is smooth on either side, and not across."""
  truth = np.zeros((64, 64), np.float32)
  truth[:, 32:] = 1
  across, along = [], []
  for seed in range(20):
    error = simulated(truth, seed, offset=0.1, patch=0.5) - truth
    across.append(error[:, 29] - error[:, 34])
    along.append(error[:, 24] - error[:, 29])
  assert np.std(across) > 2 * np.std(along) > 0.01


def test_gains_bend_the_relief_of_a_region_about_its_mean():
  truth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
  errors = np.stack([simulated(truth, seed, gain=0.5, patch=1.0) - truth for seed in range(60)])
  spread = errors.std(axis=(0, 1))
  assert spread[[4, -5]].min() > 2 * spread[28:36].max()


def test_patches_blend_without_a_seam():
  """Of an even map: the error varies no more where patches end than anywhere else."""
  truth = np.zeros((64, 64), np.float32)
  truth[0, 0] = 1  # The range that amplitudes are shares of.
  errors = [simulated(truth, seed, offset=0.1, patch=0.25)[8:, 8:] for seed in range(60)]
  step = np.abs(np.diff(errors, axis=2)).mean(axis=(0, 1))  # Patches of 16 px begin at each 8.
  assert step.max() < 2.5 * step.mean() and step.min() > 0
  bend = np.abs(np.diff(errors, 2, axis=2)).mean(axis=(0, 1))
  assert bend.max() < 2.5 * bend.mean()


@pytest.mark.parametrize('shape, side', [((16, 16), 8), ((20, 33), 6), ((7, 9), 16)])
def test_tilings_weigh_every_pixel_by_one_and_keep_patches_apart(shape, side):
  tiling = components.patches(shape, side)
  np.testing.assert_allclose(tiling.weights.sum(0), 1, atol=1e-6)
  assert len(np.unique(tiling.places)) == tiling.places.size
  labels, count = components.label(np.zeros(shape, bool), tiling)
  assert labels.min() == 1 and count == labels.max() + 1
  for own in labels.reshape(4, *shape):
    for number in np.unique(own):
      rows, columns = np.nonzero(own == number)
      height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
      assert height <= side and width <= side and len(rows) == height * width


def test_an_edge_divides_a_patch():
  edges = np.zeros((16, 16), bool)
  edges[:, 7] = True
  labels, _ = components.label(edges, components.patches((16, 16), 16))
  first = labels[0].reshape(16, 16)  # The tiling with one patch.
  assert (first[:, 7] == 0).all()
  assert len(np.unique(first[:, :7])) == len(np.unique(first[:, 8:])) == 1
  assert first[0, 0] != first[0, 15]


def test_gaussians_change_what_lies_by_edges_alone(truth):
  changed = simulated(truth, edge=0.3) != truth
  distance = cv2.distanceTransform((~noise.edges(truth)).astype(np.uint8), cv2.DIST_L2, 5)
  assert changed[distance == 0].mean() > 0.9
  assert not changed[distance > 6 * max(noise.SIGMAS)].any()


def test_gaussians_are_as_high_as_the_step_allows(truth):
  rise = lambda x, scale: np.std(simulated(scale * x, edge=0.3) - scale * x)  # noqa: E731
  assert rise(truth, 3) == pytest.approx(3 * rise(truth, 1), rel=1e-3)


def test_gather_is_the_adjoint_of_splat(truth):
  rng = np.random.default_rng(0)
  drawn = noise.draw_gaussians(rng, noise.edges(truth), 0.5)
  values = rng.standard_normal(truth.shape, np.float32)
  left = np.sum(noise.splat(drawn, truth.shape) * values, dtype=np.float64)
  right = np.sum(drawn.heights * noise.gather(drawn, values), dtype=np.float64)
  assert left == pytest.approx(right, rel=1e-4)


def test_a_splat_has_the_height_and_width_that_it_says():
  for kind, sigma in enumerate(noise.SIGMAS):
    one = noise.Gaussians(np.array([15 * 31 + 15]), np.array([kind]), np.array([2.0], np.float32))
    out = noise.splat(one, (31, 31))
    want = 2 * np.exp(-0.5 * (np.arange(-15, 16) / sigma) ** 2)
    np.testing.assert_allclose(out[15], want, atol=0.12 if sigma < 0.8 else 0.03)


def test_a_lower_resolution_blurs_edges(truth):
  step = [noise.steps(simulated(truth, share=share)).max() for share in (1.0, 0.5, 0.25)]
  assert step[0] > step[1] > step[2] > 0


def test_white_noise_is_of_single_pixels_of_the_predictor(truth):
  error = simulated(truth, white=0.03) - truth
  assert np.std(error) == pytest.approx(0.03 * np.ptp(truth), rel=0.05)
  for axis in (0, 1):
    a, b = np.take(error, range(1, 48), axis), np.take(error, range(47), axis)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.08
  # Enlarged with the map: neighbours then differ less.
  coarse = simulated(truth, share=0.25, white=0.03) - simulated(truth, share=0.25)
  assert np.std(np.diff(coarse, axis=0)) < 0.5 * np.std(np.diff(error, axis=0))


def test_smooth_noise_is_smooth_and_of_unit_deviation_everywhere():
  rng = np.random.default_rng(0)
  draws = np.stack([noise.smooth(rng, (48, 40), 3) for _ in range(300)])
  assert draws.shape[1:] == (48, 40) and draws.dtype == np.float32
  assert 0.8 < draws.std(0).min() and draws.std(0).max() < 1.2
  assert np.abs(draws.mean(0)).max() < 0.3
  assert np.diff(draws, axis=1).std() < 0.12 and np.abs(np.diff(draws, axis=1)).max() < 0.7


def test_what_is_believed_shares_the_range_and_has_no_new_edges(truth):
  assert noise.believed(np.random.default_rng(0), truth, 0.0) is truth
  out = noise.believed(np.random.default_rng(0), truth, 0.05)
  error = out - truth
  assert 0.01 < error.std() < 0.15
  inside = ~cv2.dilate(noise.edges(truth).astype(np.uint8), np.ones((3, 3))).astype(bool)
  assert noise.steps(error)[inside].max() < noise.STEP
