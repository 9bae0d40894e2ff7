"""The features of the lens blur: what they see, and what they start as."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax.models import layers
from depthjax.models.deeplens import discs, lensblur


@functools.cache
def _feature_net(initialisation='disc', widths=(30, 30, 15, 15)):
  """Features of an image, as a compiled function."""
  net = lensblur.FeatureNet(widths, initialisation)
  variables = jax.jit(net.init)(jax.random.key(1), jnp.zeros((1, 23, 23, 3)))
  return jax.jit(functools.partial(net.apply, variables))


def test_features_see_fifteen_pixels():
  image = np.random.default_rng(0).uniform(0.2, 1, (1, 23, 23, 3)).astype(np.float32)
  net = _feature_net()
  grad = jax.jit(jax.grad(lambda x: (net(x)[:, 11, 11] ** 2).sum()))(image)
  rows, columns = np.nonzero(np.abs(grad[0]).sum(axis=-1))
  assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 18, 4, 18)


@pytest.mark.parametrize('initialisation', ['disc', 'xavier'])
def test_a_constant_image_has_constant_features_up_to_the_border(initialisation):
  """Zeros beyond the border would darken it."""
  image = np.broadcast_to(np.float32([0.7, 0.4, 0.2]), (1, 23, 23, 3))
  maps = np.asarray(_feature_net(initialisation)(image))
  assert maps.shape == (1, 23, 23, 31, 3) and maps.max() > 0.3
  assert np.ptp(maps, axis=(1, 2)).max() < 1e-5


def test_features_keep_their_colour_and_start_as_shapes():
  red = np.broadcast_to(np.float32([1, 0, 0]), (1, 23, 23, 3))
  maps = np.asarray(_feature_net()(red))
  np.testing.assert_allclose(maps[..., 0], 1, atol=0.02)
  np.testing.assert_array_equal(maps[..., 1:], 0)
  spot = np.zeros((1, 23, 23, 3), np.float32)
  spot[:, 11, 11] = 1
  maps = np.asarray(_feature_net()(spot))
  np.testing.assert_array_equal(maps[..., 0, :], spot)
  four = maps[0, ..., -4:, 0].mean(axis=-1)
  np.testing.assert_allclose(four, discs.draw(discs.Shape(7.5), 11), atol=2e-3)


def test_mirrored_convolution_equals_its_twin():
  image = np.random.default_rng(0).normal(size=(1, 7, 6, 1)).astype(np.float32)
  conv = layers.BorderConv(1, 5)
  variables = jax.jit(conv.init)(jax.random.key(0), image)
  kernel = np.asarray(variables['params']['conv']['kernel'])[..., 0, 0]
  expected = scipy.ndimage.correlate(image[0, ..., 0], kernel, mode='reflect')
  result = np.asarray(jax.jit(conv.apply)(variables, image))[0, ..., 0]
  np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
