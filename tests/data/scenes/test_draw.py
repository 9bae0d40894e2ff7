"""Drawn scenes: layers, planes, lens, observed silhouettes, and the bounds of SceneConfig."""

import numpy as np
import pytest

from depthjax.data.scenes.config import SceneConfig
from depthjax.data.scenes.surfaces import plane_disparity
from tests.data import made

TINY = {'height': 32, 'width': 32, 'pad': 0}


def test_background_ramps_get_nearer_to_the_left_right_or_bottom():
  directions, nearer_than_foreground = set(), 0
  fields = {'tilted_background': 1.0, 'layers': 2, 'covers': (0.03, 0.15)}
  for seed in range(100):
    planes = made.scene(seed, **fields)['planes']
    assert not planes[0, 1:].any()
    directions.add(tuple(np.sign(planes[1, 1:])))
    nearer_than_foreground += plane_disparity(planes[1], 48, 64, 6).max() > planes[0, 0]
  assert directions == {(-1, 0), (1, 0), (0, 1)} and nearer_than_foreground > 3


def test_flat_backgrounds_are_at_infinity_or_nearer():
  planes = np.array([made.scene(seed, tilted_background=0.0)['planes'] for seed in range(30)])
  assert not planes[:, :, 1:].any()
  assert 2 < (planes[:, -1, 0] == 0).sum() < 20 and planes[:, -1, 0].max() > 0.3


def test_background_is_opaque_and_foreground_colour_continues_outside_the_silhouette():
  photo = np.random.default_rng(9).integers(0, 256, (80, 90, 3), dtype=np.uint8)
  for seed in range(10):
    *foregrounds, background = made.scene(seed, [photo])['layers']
    assert (background[..., 3] == 255).all()
    for layer in foregrounds:
      colour, alpha = layer[..., :3].astype(float), layer[..., 3]
      inside, outside = colour[alpha > 127], colour[alpha == 0]
      assert abs(inside.mean() - outside.mean()) < 90
      assert outside.std() > 0.2 * inside.std()  # Not one constant colour.


def test_observed_silhouettes_are_exact_without_corruption():
  record = made.scene(3, corruption=0.0)
  alpha = record['layers'][:, 6:-6, 6:-6, 3]
  np.testing.assert_array_equal(record['observed'], np.where(alpha > 127.5, 255, 0))
  assert (made.scene(3, corruption=1.0)['observed'] != record['observed']).any()


def test_lens_has_the_configured_distributions():
  records = [made.scene(seed, **TINY, tilted_background=0.0) for seed in range(120)]
  names = ('blades', 'aperture', 'highlight', 'focus')
  blades, aperture, gain, focus = (np.array([x[name] for x in records]) for name in names)
  assert set(blades) == {0, 5, 6, 7, 8, 9}
  assert 0.55 < (aperture == 1).mean() < 0.85 and aperture.min() >= 0.2
  assert 0.3 < (gain == 1).mean() < 0.7 and gain.min() == 1 and 5 < gain.max() <= 10
  on_plane = np.array([record['focus'] in record['planes'][:, 0] for record in records])
  assert 0.35 < on_plane.mean() < 0.65 and focus.min() >= 0 and focus.max() <= 1


def test_focus_on_a_ramp_is_in_its_range():
  for seed in range(40):
    record = made.scene(seed, **TINY, tilted_background=1.0, on_plane=1.0)
    ramp, focus = plane_disparity(record['planes'][-1], 32, 32), record['focus']
    in_range = ramp.min() - 0.02 <= focus <= ramp.max() + 0.02  # Half a pixel outside the centres.
    assert in_range or focus in record['planes'][:-1, 0]


def test_foregrounds_with_mattes_are_used():
  patch = np.full((40, 30, 4), (10, 200, 30, 0), np.uint8)
  patch[5:35, 5:25, 3] = 255
  for layer in made.scene(0, cut_outs=[patch], mattes=1.0, lights=0.0)['layers'][:-1]:
    assert np.abs(layer[..., :3].astype(int) - (10, 200, 30)).max() <= 2
    assert (layer[..., 3] > 127).any()


def test_photos_are_used_for_their_fraction_of_layers():
  red, options = [made.flat((200, 20, 20))], {'lights': 0.0, 'contrast': 0.0}
  for fraction, least, most in ((1.0, 0.95, 1.0), (0.0, 0.0, 0.5)):
    scenes = [made.scene(seed, red, photos=fraction, **options)['layers'] for seed in range(5)]
    assert least <= np.mean([x[..., 0] > x[..., 1] + 30.0 for x in scenes]) <= most


def test_dark_objects_before_a_dark_background_are_brightened():
  dark = [made.flat(12)]
  for seed in range(5):
    record = made.scene(seed, dark, photos=1.0, lights=0.0, contrast=0.0, camouflage=0.0)
    colour = record['layers'][..., :3]
    assert colour[-1].mean() < 40 and colour[:-1].mean() > 100


def test_config_values_out_of_bounds_are_refused():
  for field, value, message in (
    ('height', 16, r'height is 16; it must be an integer in \[32, 4096\]'),
    ('width', 64.5, r'width is 64.5; it must be an integer'),
    ('photos', 1.2, r'photos is 1.2; it must be a number in \[0.0, 1.0\]'),
    ('tilted_background', float('nan'), r'tilted_background is nan'),
    ('margin', 0.2, r'margin is 0.2; it must be a number in \[0.0, 0.1666'),
    ('mirror', 0.7, r'glass \+ mirror is 1.2; it must be a number in'),
    ('softness', (2.0, 1.0), r'softness is \(2.0, 1.0\); it must be \(low, high\)'),
    ('covers', [0.1], r'covers is \(0.1,\)'),
  ):
    with pytest.raises(ValueError, match=message):
      SceneConfig(**{'glass': 0.5, field: value})
