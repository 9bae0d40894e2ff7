"""Textures and crops of photos."""

import numpy as np
import pytest

from depthjax.data.scenes import crops, textures


@pytest.mark.parametrize('family', textures.FAMILIES)
def test_family_fills_any_size_and_is_a_function_of_the_seed(family):
  def draw(seed, h, w):
    rng = np.random.default_rng(seed)
    return textures.paint(rng, family, textures.colour_ramp(rng), h, w)

  image = draw(3, 40, 75)
  assert image.shape == (40, 75, 3) and image.dtype == np.uint8
  np.testing.assert_array_equal(image, draw(3, 40, 75))
  assert (image != draw(4, 40, 75)).any()
  # Something is seen in nearly every draw: not one colour throughout.
  assert np.median([draw(seed, 64, 64).std(axis=(0, 1)).max() for seed in range(8)]) > 4


def test_unknown_family():
  with pytest.raises(ValueError, match="family is 'plaid'; it must be one of clouds, "):
    textures.paint(np.random.default_rng(0), 'plaid', np.zeros((256, 3), np.uint8), 8, 8)


def test_noise_spans_zero_to_one_and_octaves_add_detail():
  steps = []
  for octaves in (1, 5):
    field = textures.noise(np.random.default_rng(0), 60, 90, octaves=octaves)
    assert field.shape == (60, 90) and field.dtype == np.float32
    np.testing.assert_allclose([field.min(), field.max()], [0, 1], atol=1e-6)
    steps.append(np.abs(np.diff(field)).mean())
  assert steps[1] > 1.5 * steps[0]


def test_noise_cells_are_elongated_by_their_aspect():
  field = textures.noise(np.random.default_rng(0), 128, 128, octaves=1, cells=16, aspect=16)
  down, across = np.abs(np.diff(field, axis=0)).mean(), np.abs(np.diff(field, axis=1)).mean()
  assert down > 5 * across or across > 5 * down


def test_colour_ramp_is_smooth_and_spans_brightness():
  for seed in range(20):
    ramp = textures.colour_ramp(np.random.default_rng(seed)).astype(int)
    assert ramp.shape == (256, 3) and np.abs(np.diff(ramp, axis=0)).max() < 40
    assert np.ptp(ramp.max(axis=1)) >= 40


def test_lights_clip():
  image = np.full((128, 128, 3), 40, np.uint8)
  textures.add_lights(np.random.default_rng(0), image)
  assert (image.min(axis=-1) > 243).sum() > 5


def test_crop_of_a_linear_photo_is_linear():
  # Value = 2 column: an upright crop has one slope in x (its scale and mirroring), none in y.
  photo = np.repeat(np.arange(120, dtype=np.uint8)[None, :, None] * 2, 100, 0).repeat(3, 2)
  for seed in range(6):
    part = crops.crop(np.random.default_rng(seed), photo, 40, 50, turn=0)[..., 0].astype(float)
    slope = (part[:, -2] - part[:, 1]) / 47
    assert 2 * crops.LEAST_SCALE - 0.1 < abs(slope[0]) < 2 * 2.5
    want = part[0, 1] + slope[0] * np.arange(48)
    np.testing.assert_allclose(part[:, 1:49], np.broadcast_to(want, (40, 48)), atol=1.6)


def test_turned_crop_has_the_turned_slope():
  y, x = np.mgrid[:200, :200]
  photo = np.repeat((50 + 0.4 * x + 0.2 * y)[..., None], 3, 2).astype(np.uint8)
  lengths, angles = [], []
  for seed in range(12):
    part = crops.crop(np.random.default_rng(seed), photo, 60, 60).astype(float)[..., 0]
    slope_y, slope_x = np.gradient(part)
    lengths.append(np.hypot(slope_x.mean(), slope_y.mean()))
    angles.append(np.arctan2(slope_y.mean(), slope_x.mean()))
  full = np.hypot(0.4, 0.2)
  assert min(lengths) > 0.5 * crops.LEAST_SCALE * full and max(lengths) < 3.5 * full
  assert len(np.unique(np.round(angles, 1))) > 6


def test_crop_larger_than_the_photo_mirrors_it():
  photo = np.full((20, 30, 3), 200, np.uint8)
  part = crops.crop(np.random.default_rng(0), photo, 90, 90)
  assert part.shape == (90, 90, 3) and part.min() >= 199


def test_jitter_keeps_the_order_of_grays_and_tints_them():
  gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
  spread = []
  for seed in range(20):
    out = crops.jitter(np.random.default_rng(seed), gray)[0].astype(int)
    assert (np.diff(out, axis=0) >= 0).all()
    spread.append(np.ptp(out[128]))
  assert max(spread) > 45 and min(spread) < 20
