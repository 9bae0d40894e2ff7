"""The sRGB transfer curve against its definition, and boosted highlights."""

import jax
import numpy as np
import pytest

from depthjax.ops import colour

_VALUES = np.linspace(0, 1, 1001, dtype=np.float32)


def test_decoding_follows_the_standard_and_encoding_inverts_it():
  expected = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in _VALUES]
  np.testing.assert_allclose(colour.srgb_to_linear(_VALUES), expected, atol=1e-6)
  pair = colour.srgb_to_linear, colour.linear_to_srgb
  for first, second in (pair, pair[::-1]):
    np.testing.assert_allclose(second(first(_VALUES)), _VALUES, atol=1e-6)


@pytest.mark.parametrize(
  'function, slope', [(colour.srgb_to_linear, 1 / 12.92), (colour.linear_to_srgb, 12.92)]
)
def test_gradients_at_black_are_those_of_the_linear_part(function, slope):
  np.testing.assert_allclose(jax.grad(function)(0.0), slope, rtol=1e-6)
  slopes = jax.vmap(jax.grad(function))(_VALUES)
  assert np.all(np.isfinite(slopes)) and np.all(slopes > 0)


def test_boost_changes_only_highlights():
  dim = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32) * 0.89
  np.testing.assert_array_equal(colour.boost_highlights(dim, 5.0), dim)
  white = np.ones((2, 2, 3), np.float32)
  np.testing.assert_allclose(colour.boost_highlights(white, 5.0), 5 * white, rtol=1e-5)
  np.testing.assert_array_equal(colour.boost_highlights(white, 1.0), white)


def test_boost_keeps_hue_and_is_continuous():
  light = np.linspace(0.8, 1, 401, dtype=np.float32)[:, None] * np.float32([1, 0.99, 0.95])
  boosted = np.asarray(colour.boost_highlights(light, 10.0))
  np.testing.assert_allclose(boosted / boosted[:, :1], light / light[:, :1], rtol=1e-5)
  steps = np.diff(boosted[:, 0])
  assert np.all(steps > 0) and steps.max() < 0.1
