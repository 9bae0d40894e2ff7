"""The loss of fine-tuning on virtual labels: hand-made values, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np

from depthjax.losses import tom

_RNG = np.random.default_rng(0)
_LABEL = _RNG.random((2, 16, 24, 1), np.float32)
_terms = jax.jit(tom.published)


def _published(p, t):
  """The loss of the paper over a batch, in NumPy, with masks of ones."""
  fitted = []
  for x, y in zip(p.astype(float), t.astype(float), strict=True):
    a00, a01, a11, b0, b1 = (x * x).sum(), x.sum(), x.size, (x * y).sum(), y.sum()
    det = a00 * a11 - a01**2
    scale, shift = (a11 * b0 - a01 * b1, a00 * b1 - a01 * b0) if det else (0, 0)
    fitted.append(x * scale / (det or 1) + shift / (det or 1))

  def gradient(error):
    parts = [error[:, :: 2**k, :: 2**k] for k in range(4)]
    return sum(sum(np.abs(np.diff(x, axis=i)).sum() for i in (1, 2)) / x.size for x in parts)

  aligned, error = np.stack(fitted) - t, p - t
  squares = (aligned**2).sum() / (2 * p.size) + (error**2).sum() / (2 * p.size)
  return squares + 0.5 * gradient(aligned) + gradient(error)


def test_the_sum_of_the_terms_is_the_loss_over_the_batch():
  for prediction in (_LABEL + 0.3, 7 - 2 * _LABEL, _RNG.random(_LABEL.shape, np.float32)):
    total = sum(x.mean() for x in _terms(prediction, _LABEL).values())
    np.testing.assert_allclose(total, _published(prediction, _LABEL), rtol=1e-4)
  constant = np.full_like(_LABEL, 0.4)  # Aligned to 0.
  total = sum(x.mean() for x in _terms(constant, _LABEL).values())
  np.testing.assert_allclose(total, _published(constant, _LABEL), rtol=1e-5)


def test_terms_of_a_step_by_hand():
  label = np.zeros_like(_LABEL)
  label[:, 8:] = 1
  exact = _terms(label, label)
  assert all(x.shape == (2,) and np.abs(x).max() < 1e-6 for x in exact.values())
  terms = _terms(3 * label, label)  # An error of 2 in the lower half, but for alignment.
  np.testing.assert_allclose(terms['aligned'], 0, atol=1e-6)
  np.testing.assert_allclose(terms['squared'], 0.5 * 4 / 2)
  # One step of 2 in each column: of 16, 8, 4 and 2 rows.
  np.testing.assert_allclose(terms['gradient'], 2 / 16 + 2 / 8 + 2 / 4 + 2 / 2)


@jax.jit
def _gradients(prediction):
  """Those of the aligned term, and of the sum."""
  _, pull = jax.vjp(lambda x: tom.published(x, _LABEL), prediction)
  ones = dict.fromkeys(tom.published(prediction, _LABEL), jnp.ones(2))
  one = {name: x * (name == 'aligned') for name, x in ones.items()}
  return pull(one)[0], pull(ones)[0]


def test_gradients_flow_through_scale_and_shift_and_are_finite():
  prediction = _RNG.random(_LABEL.shape, np.float32)
  gradient, _ = jax.device_get(_gradients(prediction))
  # No change that only scales or shifts the prediction changes the term.
  for direction in (np.ones_like(prediction), prediction):
    assert abs((gradient * direction).sum()) < 1e-6 < np.abs(gradient).max()
  assert np.isfinite(_gradients(0 * _LABEL)[1]).all()


def test_the_squared_error_is_that_without_alignment():
  found = tom.squared(2 * _LABEL, _LABEL)
  np.testing.assert_allclose(found['squared'], np.mean(_LABEL**2, (1, 2, 3)), rtol=1e-5)
