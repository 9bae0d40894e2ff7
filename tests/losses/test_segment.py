"""BCE and Dice by hand."""

import jax
import numpy as np

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


def test_right_masks_cost_nothing_and_large_logits_are_finite():
  logits = np.float32([300, -300]).reshape(1, 1, 2, 1)
  for target in (np.float32(logits > 0), 0 * logits, 0 * logits + 1):
    for loss, wrong in ((segment.bce, 150), (segment.dice, 0.3)):
      assert loss((2 * target - 1) * 300, target) < 1e-6
      value, grad = jax.value_and_grad(lambda x: loss(x, target).sum())(logits)
      assert np.isfinite(grad).all() and (value > wrong) == (target != (logits > 0)).any()
