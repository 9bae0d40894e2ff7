"""Segmenters: logits in place of depth, the parameters of the depth predictors, sizes."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from depthjax import configuring
from depthjax.models.deeplens import depthnet
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import published, runs, segmenter, unet


def _fields(**fields):
  return {**configuring.load('segment', 'smoke').model.to_dict(), 'width': 4, **fields}


@pytest.mark.parametrize('network', runs.NETWORKS)
def test_variables_are_those_of_the_depth_predictor(network):
  fields = _fields(network=network, size='tiny')
  _, shapes = segmenter.FROM_CONFIG['segment'](
    {'model': fields, 'data': {'height': 64, 'width': 96}}
  )
  if network == 'depthnet':
    expected = published.shapes(depthnet.DepthNet('release', width=4), depthnet.STRIDE)
  elif network == 'unet':
    expected = published.shapes(unet.UNet(width=4), unet.STRIDE)
  else:
    own = {'size': 'tiny', 'version': 2} if network == 'depth_anything' else {}
    predictor = published.describe({'network': network, **own})
    expected = published.shapes(predictor.network, predictor.multiple)
  assert jax.tree.map(np.shape, shapes) == jax.tree.map(np.shape, expected)


def test_the_depth_is_the_positive_part_of_the_logits():
  described = segmenter.describe(_fields(network='depth_anything', size='tiny'))
  rng = np.random.default_rng(0)
  image = rng.random((2, 28, 14, 3), np.float32)
  shapes = published.shapes(described.network, described.multiple)
  variables = jax.tree.map(lambda x: 0.3 * rng.normal(size=x.shape).astype(np.float32), shapes)
  logits = jax.jit(predictors.output, static_argnums=0)(described, variables, image)
  assert logits.shape == (2, 28, 14, 1) and logits.min() < 0 < logits.max()
  depth = published.describe({'network': 'depth_anything', 'size': 'tiny', 'version': 2})
  depth = jax.jit(predictors.output, static_argnums=0)(depth, variables, image)
  np.testing.assert_allclose(depth, nn.relu(logits), rtol=1e-5)


@pytest.mark.parametrize('network', ['dpt', 'midas'])
def test_the_published_networks_lose_their_last_activation(network):
  described = segmenter.describe(_fields(network=network))
  assert described.network.act is jax.nn.identity and described.output == 'logit'


def test_the_input_size_is_that_of_the_frames():
  # Of the long side, except for dpt.
  sizes = {'depthnet': 96, 'unet': 96, 'dpt': 64, 'midas': 96}
  for network, size in sizes.items():
    config = {'model': _fields(network=network, width=64), 'data': {'height': 64, 'width': 96}}
    assert segmenter.FROM_CONFIG['segment'](config)[0].input_size == size
