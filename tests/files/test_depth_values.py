"""Values of depth maps: infinitely far pixels, inverted maps, the range, what the user is told."""

import numpy as np
import pytest

from depthjax.files.depth import normalise
from tests.messages import refused

_H, _W = 60, 80
_RNG = np.random.default_rng(0)
# Depths of a scene, from 1 to 300 m.
_SCENE = np.geomspace(1, 300, _H * _W, dtype=np.float32).reshape(_H, _W)
_DISPARITY = _RNG.random((_H, _W), np.float32)


def _depth(z, **fields):
  return normalise(z, convention='depth', **fields)


@pytest.mark.parametrize('sky', [np.inf, 65504, 1e10, 1e30])
@pytest.mark.parametrize('fraction', [0.002, 0.3, 0.6, 0.97])
def test_a_plateau_far_beyond_the_rest_is_infinitely_far(sky, fraction):
  """Also with pixels that are interpolated between scene and sky."""
  rows = max(1, round(fraction * _H))
  z = _SCENE[-_H:] / 10
  z[:rows] = sky
  if rows > 1 and fraction < 0.9:
    z[rows - 1, ::8] = np.geomspace(40, min(sky, 1e10) / 2, _W // 8)
  found = _depth(z)
  assert (z[found.far] > 3000).all() and found.far[: rows - 1].all() and found.valid.all()
  assert not found.disparity[found.far].any() and found.low == 0
  assert found.disparity[~found.far].min() > 0
  assert f'{100 * found.far.mean():.1f} % infinitely far' in found.summary


def test_depths_of_real_scenes_are_not_infinitely_far():
  """Neither continuous ones, nor a near subject before a far background."""
  apart = np.where(np.arange(_W) < 30, 1 + _DISPARITY, 250 + 50 * _DISPARITY)
  for z in (_SCENE, apart):
    found = _depth(z)
    expected = (1 / z - 1 / z.max()) / (1 / z.min() - 1 / z.max())
    np.testing.assert_allclose(found.disparity[..., 0], expected, atol=1e-6)
    assert not found.far.any() and 'infinitely' not in found.summary


def test_infinite_disparity_and_minus_infinity_are_missing():
  values = 1 + _DISPARITY
  values[5, 5:7] = np.inf, -np.inf
  for convention, missing in (('disparity', 2), ('depth', 1), ('inverted', 1)):
    found = normalise(values, convention=convention)
    assert (~found.valid).sum() == missing and not found.valid[5, 6]
    assert found.far.sum() == 2 - missing and np.isfinite(found.disparity).all()


def test_inverted_maps_are_linear_and_zero_is_the_nearest():
  x = np.linspace(0, 1, _H * _W, dtype=np.float32).reshape(_H, _W)
  for scale in (1, 255, 65535):
    found = normalise(scale * x, convention='inverted')
    np.testing.assert_allclose(found.disparity[..., 0], 1 - x, atol=1e-6)
    assert found.valid.all() and found.summary == f'inverted from 0 to {scale}'
    # The convention is named where they are read as depth.
    assert '0 counts as missing' in _depth(scale * x).summary
    assert 'inverted' not in _depth(scale * np.where(x < 0.2, 0, x), invalid=(9, 0)).summary
  ratio = 'the largest is 2000 times the smallest: if 0 is near in it, give --convention=inverted'
  assert ratio in _depth(_SCENE ** (np.log(2000) / np.log(300))).summary
  assert 'inverted' not in _depth(_SCENE).summary


def _with(values, pixels):
  values = values.copy()
  values.ravel()[50 : 50 + len(pixels)] = pixels
  return values


@pytest.mark.parametrize(
  'convention, clean, hot',
  [
    ('disparity', _DISPARITY, [1000]),
    ('disparity', _DISPARITY, [3, 3, -5, 1e30]),
    ('disparity', np.rint(50 * _DISPARITY), [255]),
    ('inverted', _DISPARITY, [-7]),
    ('depth', 1 + _DISPARITY, [1e-6, 1e-7]),
    ('depth', 1 + 0.1 * _DISPARITY, [np.inf, 1e-3]),
  ],
)
def test_hot_pixels_do_not_decide_the_range(convention, clean, hot):
  """The others are as without them, and the hot ones have the nearest value in the range."""
  found = normalise(_with(clean, hot), convention=convention)
  want = normalise(clean, convention=convention)
  others = np.ones(clean.size, bool)
  others[50 : 50 + len(hot)] = False
  result, expected = (x.disparity.ravel() for x in (found, want))
  np.testing.assert_allclose(result[others], expected[others], atol=0.02)
  assert set(result[~others]) <= {0, 1} and found.valid.all()
  assert '0.1 % outside of' in found.summary and 'clipped' in found.summary
  assert 'clipped' not in want.summary


def test_percentiles_are_the_range_and_a_narrow_map_is_named():
  hot = _with(_DISPARITY, [20] * 8)  # More than 0.1 %.
  narrow = '99 % of the pixels lie in less than a tenth of the range, see --range'
  assert narrow in normalise(hot).summary and narrow not in normalise(_DISPARITY).summary
  exact = normalise(_with(_DISPARITY, [20]), percentiles=(0, 100))
  assert exact.high == 20 and narrow in exact.summary
  found = normalise(hot, percentiles=(10, 90))
  low, high = np.percentile(hot, (10, 90))
  expected = np.clip((hot - low) / (high - low), 0, 1)
  np.testing.assert_allclose(found.disparity[..., 0], expected, atol=1e-5)
  assert '20.0 % outside of' in found.summary and narrow not in found.summary
  flat = np.where(hot > 0.99, hot, 0.5)
  refused(lambda: normalise(flat, percentiles=(10, 90)), 'constant between the percentiles 10')


def test_a_few_tiny_depths_do_not_make_the_scene_infinitely_far():
  z = np.linspace(1.5, 12, 4000, dtype=np.float32).reshape(50, 80)
  z[:2] = 1e-4
  depth = normalise(z, convention='depth')
  assert not depth.far.any() and '--convention=inverted' in depth.summary
