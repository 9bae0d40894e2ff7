"""The network's layers in maps of any size: sizes, units, and what stays unchanged."""

import jax
import numpy as np
import pytest

from depthjax.models import layered
from depthjax.pipelines.mask_refine import fill, learned, masks

_RNG = np.random.default_rng(0)
_MASK = np.zeros((60, 90, 1), np.float32)
_MASK[20:40, 30:70] = 1
_DISPARITY = (3 + 5 * _RNG.random(_MASK.shape) + 20 * _MASK).astype(np.float32)
_PHOTO = _RNG.random((120, 180, 3), np.float32)


@pytest.fixture(scope='module')
def network():
  """Randomly initialised."""
  fields = {'preset': 'small', 'widths': (8, 16, 40, 16), 'depths': (1,) * 4}
  model = layered.network({**fields, 'projection': 8, 'fusion': 8})
  return learned.Network(model, jax.jit(layered.initial, static_argnums=0)(model), 64)


def test_away_from_the_border_nothing_changes(network):
  result = masks.composite(learned.layers(_PHOTO, _DISPARITY, _MASK, network), _MASK)
  filled = fill.refine(_DISPARITY, _MASK, distance=0.06)
  near = filled != _DISPARITY
  np.testing.assert_array_equal(result[~near], _DISPARITY[~near])
  assert 0 < (result != _DISPARITY).mean() < near.mean()
  assert result.dtype == np.float32


def test_layers_have_the_units_of_the_disparity_and_swap_with_the_mask(network):
  first, second = (
    learned.predict(_PHOTO, scale * _DISPARITY + offset, mask, network)
    for scale, offset, mask in ((1, 0, _MASK), (50, 300, 1 - _MASK))
  )
  assert first.inside.shape == _MASK.shape
  for x, y in zip(first, second[::-1], strict=True):
    np.testing.assert_allclose(50 * x + 300, y, rtol=1e-3)
  assert not np.allclose(first.inside, first.outside, atol=0.01)


def test_bad_input_is_refused(network):
  with pytest.raises(ValueError, match='the disparity map is constant'):
    learned.layers(_PHOTO, 0 * _DISPARITY, _MASK, network)
