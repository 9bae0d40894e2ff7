"""BCE and Dice by hand."""

import jax
import numpy as np
import pytest

from depthjax.losses import segment

_LOGITS = np.log(np.float32([1, 3, 1, 9])).reshape(1, 2, 2, 1)  # p = 1/2, 3/4, 1/2, 9/10.
_TARGET = np.float32([0, 1, 1, 0]).reshape(1, 2, 2, 1)


def test_values_by_hand():
  both = np.concatenate([_TARGET, 0 * _TARGET])
  logits = np.concatenate([_LOGITS, _LOGITS])
  bce = [-np.log([1 / 2, 3 / 4, 1 / 2, 1 / 10]).mean(), -np.log([1 / 2, 1 / 4, 1 / 2, 0.1]).mean()]
  np.testing.assert_allclose(jax.jit(segment.bce)(logits, both), bce, rtol=1e-5)
  dice = [1 - (2 * 1.25 + 1) / (2.65 + 2 + 1), 1 - 1 / (2.65 + 1)]
  np.testing.assert_allclose(jax.jit(segment.dice)(logits, both), dice, rtol=1e-5)


@pytest.mark.parametrize('loss, wrong', [(segment.bce, 149), (segment.dice, 0.3)])
@pytest.mark.parametrize('target', [(0, 0), (1, 0), (1, 1)])
def test_right_masks_cost_nothing_and_large_logits_are_finite(loss, wrong, target):
  target = np.float32(target).reshape(1, 1, 2, 1)
  both = np.concatenate([300 * (2 * target - 1), 300 - 600 * target])
  values, pullback = jax.vjp(lambda x: loss(x, target), both)
  assert values[0] < 1e-6 and values[1] > wrong
  assert np.isfinite(pullback(np.ones(2, np.float32))[0]).all()
