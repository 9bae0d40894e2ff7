"""The feature maps of the lens blur: receptive field, padding and initialisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.deeplens import discs
from depthjax.models.deeplens.features import FeatureNet


@functools.cache
def _feature_net(initialisation='disc'):
  net = FeatureNet((30, 30, 15, 15), initialisation)
  variables = jax.jit(net.init)(jax.random.key(1), jnp.zeros((1, 23, 23, 3)))
  return jax.jit(functools.partial(net.apply, variables))


def test_the_receptive_field_of_the_features_is_fifteen_pixels():
  image = np.random.default_rng(0).uniform(0.2, 1, (1, 23, 23, 3)).astype(np.float32)
  net = _feature_net()
  grad = jax.jit(jax.grad(lambda x: (net(x)[:, 11, 11] ** 2).sum()))(image)
  rows, columns = np.nonzero(np.abs(grad[0]).sum(axis=-1))
  assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 18, 4, 18)


@pytest.mark.parametrize('initialisation', ['disc', 'xavier'])
def test_features_of_a_constant_image_are_constant(initialisation):
  """Zero padding would darken the border."""
  image = np.broadcast_to(np.float32([0.7, 0.4, 0.2]), (1, 23, 23, 3))
  maps = np.asarray(_feature_net(initialisation)(image))
  assert maps.shape == (1, 23, 23, 31, 3) and maps.max() > 0.3
  assert np.ptp(maps, axis=(1, 2)).max() < 1e-5


def test_initial_features_keep_their_colour_and_have_their_shapes():
  spot = np.zeros((1, 23, 23, 3), np.float32)
  spot[:, 11, 11, 0] = 1
  maps = np.asarray(_feature_net()(spot))
  np.testing.assert_array_equal(maps[..., 0, :], spot)
  np.testing.assert_array_equal(maps[..., 1:], 0)
  halves = maps[0, ..., -4:, 0].mean(axis=-1)
  np.testing.assert_allclose(halves, discs.draw(discs.Shape(7.5), 11), atol=2e-3)
