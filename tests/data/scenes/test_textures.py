"""Procedural textures, and crops of photos."""

import numpy as np
import pytest

from depthjax.data.scenes import crops, textures


def gray(values):
  """A photo of equal channels, uint8 [h w 3]."""
  return np.stack([values] * 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize('family', textures.FAMILIES)
def test_family_fills_any_size_and_is_a_function_of_the_seed(family):
  def draw(seed, h, w):
    rng = np.random.default_rng(seed)
    return textures.paint(rng, family, textures.colour_ramp(rng), h, w)

  image = draw(3, 40, 75)
  assert image.shape == (40, 75, 3) and image.dtype == np.uint8
  assert (image == draw(3, 40, 75)).all() and (image != draw(4, 40, 75)).any()
  # Most draws are not one colour only.
  assert np.median([draw(seed, 64, 64).std(axis=(0, 1)).max() for seed in range(8)]) > 4


def test_noise_is_normalised_and_octaves_add_detail():
  steps = []
  for octaves in (1, 5):
    field = textures.noise(np.random.default_rng(0), 60, 90, octaves=octaves)
    np.testing.assert_allclose([field.min(), field.max()], [0, 1], atol=1e-6)
    steps.append(np.abs(np.diff(field)).mean())
  assert steps[1] > 1.5 * steps[0]
  # Cells are elongated along rows by their aspect.
  field = textures.noise(np.random.default_rng(0), 128, 128, octaves=1, cells=16, aspect=16)
  assert np.abs(np.diff(field, axis=0)).mean() > 5 * np.abs(np.diff(field, axis=1)).mean()


def test_colour_ramp_is_smooth_and_spans_brightness():
  for seed in range(20):
    ramp = textures.colour_ramp(np.random.default_rng(seed)).astype(int)
    assert ramp.shape == (256, 3) and np.abs(np.diff(ramp, axis=0)).max() < 40
    assert np.ptp(ramp.max(axis=1)) >= 40


def test_unrotated_crop_of_a_linear_photo_is_linear():
  photo = gray(np.tile(2 * np.arange(120), (100, 1)))
  for seed in range(6):
    part = crops.crop(np.random.default_rng(seed), photo, 40, 50, max_angle=0)[..., 0].astype(float)
    slope = (part[0, -2] - part[0, 1]) / 47
    assert 2 * crops.MIN_SCALE - 0.1 < abs(slope) < 2 * 2.5
    expected = part[0, 1] + slope * np.arange(48)
    np.testing.assert_allclose(part[:, 1:49], np.tile(expected, (40, 1)), atol=1.6)


def test_rotated_crop_has_the_rotated_slope():
  y, x = np.mgrid[:200, :200]
  slopes = []
  for seed in range(12):
    part = crops.crop(np.random.default_rng(seed), gray(50 + 0.4 * x + 0.2 * y), 60, 60)
    down, across = np.gradient(part[..., 0].astype(float))
    slopes.append(across.mean() + 1j * down.mean())
  scales = np.abs(slopes) / np.hypot(0.4, 0.2)
  assert 0.5 * crops.MIN_SCALE < scales.min() and scales.max() < 3.5
  assert len(np.unique(np.round(np.angle(slopes), 1))) > 6


def test_jitter_is_monotonic_and_tints_some_grey_photos():
  spread = []
  for seed in range(20):
    photo = gray(np.tile(np.arange(256), (16, 1)))
    out = crops.jitter(np.random.default_rng(seed), photo)[0].astype(int)
    assert (np.diff(out, axis=0) >= 0).all()
    spread.append(np.ptp(out[128]))
  assert max(spread) > 45 and min(spread) < 20
