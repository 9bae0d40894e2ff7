"""Scene records: what every consumer of a drawn scene may rely on."""

import numpy as np
import pytest

from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig

SMALL = {'height': 48, 'width': 64, 'pad': 6}
PHOTOS = [np.random.default_rng(9).integers(0, 256, (80, 90, 3), dtype=np.uint8)]


def drawn(seed, photographs=None, foregrounds=None, **fields):
  config = SceneConfig(**{**SMALL, **fields})
  return draw.draw_scene(np.random.default_rng(seed), config, photographs, foregrounds)


def disparity(planes, h, w, pad):
  """Every plane at every pixel of the padded canvas: [l h+2p w+2p]."""
  x = (np.arange(-pad, w + pad, dtype=np.float32) + 0.5) / w - 0.5
  y = (np.arange(-pad, h + pad, dtype=np.float32) + 0.5) / h - 0.5
  p = planes[:, :, None, None]
  return p[:, 0] + p[:, 1] * x + p[:, 2] * y[:, None]


@pytest.mark.parametrize('layers', [2, 3, 6])
def test_record_has_the_agreed_arrays(layers):
  record = drawn(0, layers=layers)
  want = {
    'layers': ((layers, 60, 76, 4), np.uint8),
    'planes': ((layers, 3), np.float32),
    'observed': ((layers, 48, 64), np.uint8),
    'focus': ((), np.float32),
    'aperture': ((), np.float32),
    'blades': ((), np.int32),
    'rotation': ((), np.float32),
    'highlight': ((), np.float32),
    'seed': ((), np.uint32),
    'relief': ((layers, 32, 32), np.float32),
    'material': ((layers,), np.uint8),
  }
  assert {k: (v.shape, v.dtype.type) for k, v in record.items()} == want


def test_scene_is_a_function_of_the_generator():
  one, same, other = drawn(5, PHOTOS), drawn(5, PHOTOS), drawn(6, PHOTOS)
  for name, value in one.items():
    np.testing.assert_array_equal(value, same[name])
  for name in ('layers', 'planes', 'seed'):
    assert (one[name] != other[name]).any()


@pytest.mark.parametrize(('tilted_background', 'layers'), [(0.0, 2), (0.0, 6), (1.0, 3), (1.0, 8)])
def test_nearer_layers_exceed_what_they_cover_by_the_margin(tilted_background, layers):
  for seed in range(25):
    record = drawn(seed, tilted_background=tilted_background, layers=layers)
    values = disparity(record['planes'], 48, 64, 6)
    assert values.min() >= 0 and values.max() <= 1
    for i in range(layers - 1):
      covered = record['layers'][i, ..., 3] > 0
      for behind in range(i + 1, layers):
        gap = (values[i] - values[behind])[covered]
        assert gap.size == 0 or gap.min() >= 0.05


def test_only_the_background_is_slanted_and_the_ground_is_near_at_the_bottom():
  directions = set()
  for seed in range(30):
    planes = drawn(seed, tilted_background=1.0)['planes']
    assert not planes[:-1, 1:].any()
    slope_x, slope_y = planes[-1, 1:]
    assert (slope_x == 0) != (slope_y == 0) and slope_y >= 0
    directions.add((np.sign(slope_x), np.sign(slope_y)))
  assert directions == {(-1, 0), (1, 0), (0, 1)}


def test_flat_backgrounds_lie_at_infinity_or_nearer():
  planes = np.array([drawn(seed, tilted_background=0.0)['planes'] for seed in range(30)])
  assert not planes[:, :, 1:].any()
  far = planes[:, -1, 0]
  assert 2 < (far == 0).sum() < 20 and far.max() > 0.3


def test_a_ramp_may_be_nearer_than_a_foreground_that_stands_on_it():
  nearer = 0
  for seed in range(100):
    planes = drawn(seed, tilted_background=1.0, layers=2, covers=(0.03, 0.15))['planes']
    nearer += disparity(planes, 48, 64, 6)[-1].max() > planes[-2, 0]
  assert nearer > 3


def test_background_is_opaque_and_colour_complete_under_alpha():
  for seed in range(10):
    record = drawn(seed, PHOTOS)
    assert (record['layers'][-1, ..., 3] == 255).all()
    assert (record['observed'][-1] == 255).all()
    for layer in record['layers'][:-1]:
      inside, outside = (layer[mask][:, :3].astype(float) for mask in _sides(layer))
      # A texture goes on beyond the silhouette; an incomplete colour would be one constant.
      assert abs(inside.mean() - outside.mean()) < 90
      assert outside.std() > 0.2 * inside.std()


def _sides(layer):
  return layer[..., 3] > 127, layer[..., 3] == 0


def test_observed_is_the_silhouette_where_nothing_is_corrupted():
  record = drawn(3, corruption=0.0)
  alpha = record['layers'][:, 6:-6, 6:-6, 3]
  np.testing.assert_array_equal(record['observed'], np.where(alpha > 127.5, 255, 0))
  assert (drawn(3, corruption=1.0)['observed'] != record['observed']).any()


def test_every_layer_is_seen():
  for seed in range(20):
    alpha = drawn(seed, layers=4)['layers'][:, 6:-6, 6:-6, 3] > 127
    hidden = np.zeros(alpha.shape[1:], bool)
    for layer in alpha:
      assert (layer & ~hidden).sum() > 20
      hidden |= layer


def test_lens():
  records = [drawn(seed, height=32, width=32, pad=0, tilted_background=0.0) for seed in range(120)]
  blades = {int(r['blades']) for r in records}
  assert blades == {0, 5, 6, 7, 8, 9}
  aperture = np.array([r['aperture'] for r in records])
  assert 0.55 < (aperture == 1).mean() < 0.85 and aperture.min() >= 0.2
  gain = np.array([r['highlight'] for r in records])
  assert 0.3 < (gain == 1).mean() < 0.7 and gain.min() == 1 and 5 < gain.max() <= 10
  on_plane = np.array([(r['focus'] == r['planes'][:, 0]).any() for r in records])
  assert 0.35 < on_plane.mean() < 0.65
  focus = np.array([r['focus'] for r in records])
  assert focus.min() >= 0 and focus.max() <= 1


def test_focus_on_a_ramp_lies_in_its_range():
  for seed in range(40):
    record = drawn(seed, height=32, width=32, pad=0, tilted_background=1.0, on_plane=1.0)
    low, *_, high = np.sort(disparity(record['planes'][-1:], 32, 32, 0).ravel())
    edge = 0.02  # pixel centres lie half a pixel inside the frame
    on_ramp = low - edge <= record['focus'] <= high + edge
    assert on_ramp or record['focus'] in record['planes'][:-1, 0]


def test_foregrounds_with_mattes_are_used():
  patch = np.zeros((40, 30, 4), np.uint8)
  patch[..., :3] = (10, 200, 30)
  patch[5:35, 5:25, 3] = 255
  layers = drawn(0, foregrounds=[patch], mattes=1.0, lights=0.0)['layers'][:-1]
  for layer in layers:
    assert np.abs(layer[..., :3].astype(int) - (10, 200, 30)).max() <= 2
    assert (layer[..., 3] > 127).any()


def test_photos_are_used():
  red = [np.full((50, 50, 3), (200, 20, 20), np.uint8)]
  for share, least, most in ((1.0, 0.95, 1.0), (0.0, 0.0, 0.5)):
    config = SceneConfig(**SMALL, photos=share, lights=0.0, contrast=0.0)
    layers = [draw.draw_scene(np.random.default_rng(s), config, red)['layers'] for s in range(5)]
    reddish = np.array(layers)[..., 0] > np.array(layers)[..., 1] + 30.0
    assert least <= reddish.mean() <= most


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    ('height', 16, r'height is 16; it must be an integer in \[32, 4096\]'),
    ('width', 64.5, r'width is 64.5; it must be an integer'),
    ('layers', 1, r'layers is 1; it must be an integer in \[2, 8\]'),
    ('photos', 1.2, r'photos is 1.2; it must be a number in \[0.0, 1.0\]'),
    ('tilted_background', float('nan'), r'tilted_background is nan'),
    ('margin', 0.2, r'margin is 0.2; it must be a number in \[0.0, 0.1666'),
    ('highlight_max', 0.5, r'highlight_max is 0.5'),
    ('softness', (2.0, 1.0), r'softness is \(2.0, 1.0\); it must be \(low, high\)'),
    ('covers', (0.1,), r'covers is \(0.1,\)'),
    ('corruption_sigma', -1.0, r'corruption_sigma is -1.0'),
  ],
)
def test_config_is_checked(field, value, message):
  with pytest.raises(ValueError, match=message):
    SceneConfig(**{field: value})


def test_config_takes_lists_as_tuples():
  assert SceneConfig(softness=[1.0, 2.0]) == SceneConfig(softness=(1.0, 2.0))


def test_scenes_differ_from_one_another():
  seen = {drawn(seed)['layers'].tobytes() for seed in range(12)}
  assert len(seen) == 12


def test_night_before_night_is_set_apart():
  night = [np.full((60, 60, 3), 12, np.uint8)]
  config = SceneConfig(**SMALL, photos=1.0, lights=0.0, contrast=0.0, camouflage=0.0)
  for seed in range(5):
    layers = draw.draw_scene(np.random.default_rng(seed), config, night)['layers'][..., :3]
    assert layers[-1].mean() < 40 and layers[:-1].mean() > 100
