"""Disparity of photographs from a predictor: sizes, range, conventions."""

import functools

import jax
import numpy as np
import pytest
from flax import linen as nn

from depthjax.files import weights
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth
from depthjax.pipelines import predictors as predictors_lib
from tests import tiny

_LONG_SIDE = 32


def _photo(h, w):
  return np.random.default_rng(0).random((h, w, 3), np.float32)


@functools.cache
def _predictor():
  """A tiny network with initial variables."""
  model = DepthNet(preset='paper', width=2)
  init = jax.jit(functools.partial(model.init, train=False))
  variables = init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32))
  described = Predictor('tiny', model, _LONG_SIDE, multiple=depthnet.STRIDE)
  return described._replace(variables=jax.device_get(variables))


@pytest.mark.parametrize(
  'shape, size, rule, expected',
  [
    ((427, 640), 320, 'long', (216, 320)),
    ((40, 60), 96, 'long', (64, 96)),
    ((1, 5000), 320, 'long', (8, 320)),
    ((300, 600), 96, 'short', (96, 192)),
    ((300, 600), 96, 'square', (96, 96)),
    ((300, 1200), 96, 'short', (96, 384)),
    ((100, 1000), 96, 'short', (40, 384)),  # At most 4 times as long.
    ((9000, 10), 96, 'short', (384, 8)),
  ],
)
def test_one_side_of_the_input_has_the_input_size_and_all_are_multiples(
  shape, size, rule, expected
):
  predictor = Predictor('stub', None, size, input_rule=rule, multiple=8)
  assert predictors.frame(predictor, shape) == expected
  if rule != 'short':
    assert predictors.frame(predictor._replace(input_size=16), shape, size) == expected


def test_input_sizes_are_limited_by_the_long_side_and_positive_integers():
  predictor = Predictor('stub', None, 518, input_rule='short', multiple=14)
  assert predictors.frame(predictor, (480, 720)) == (518, 784)  # 55.5 patches.
  assert predictors.frame(predictor, (300, 400), 1036) == (1036, 1386)
  assert predictors.frame(predictor, (300, 1200), 1036) == (518, 2072)
  for size in (0, -5, 1.5, 'a'):
    with pytest.raises(ValueError, match=f'the input size is {size!r}; it must be a positive'):
      predictors.frame(predictor, (300, 400), size)


@pytest.mark.parametrize('shape', [(21, 33), (32, 32), (1, 50)])
def test_disparity_has_the_size_of_the_photograph_and_range_0_to_1(shape):
  result = depth.predict(_photo(*shape), _predictor())
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  assert result.min() == 0 and 1 - 1e-3 < result.max() <= 1


@pytest.mark.parametrize('shape', [(20, 30), (20, 30, 1), (0, 30, 3)])
def test_other_shapes_are_refused(shape):
  with pytest.raises(ValueError, match=r'the photograph has the shape .*; it must be \[h w 3\]'):
    depth.predict(np.zeros(shape, np.float32), _predictor())


def test_weights_of_a_run_are_loaded(tmp_path):
  config = tiny.depth_config(data__width=64).to_dict()
  metadata = {'task': 'deeplens_depth', 'step': 4, 'config': config}
  weights.save_weights(tmp_path, _predictor().variables, metadata)
  loaded = predictors_lib.load(tmp_path)
  assert loaded.input_size == 64
  assert (loaded.network.width, loaded.network.preset) == (2, 'paper')
  jax.tree.map(np.testing.assert_array_equal, loaded.variables, _predictor().variables)
  hash(loaded._replace(variables=None))  # The key of the cache of compiled networks.


class _Stub(nn.Module):
  """Disparity is a linear function of colour, times a parameter."""

  @nn.compact
  def predict(self, image):
    return self.param('scale', nn.initializers.ones, ()) * (image[..., :1] - 2 * image[..., 1:2])


_PARAMS = {'params': {'scale': np.float32(3)}}


@pytest.mark.parametrize('shape', [(64, 96), (32, 32), (21, 50)])
def test_predictions_in_training_equal_those_of_photographs(shape):
  described = Predictor('stub', _Stub(), _LONG_SIDE, multiple=8, mean=(0.1, 0.2, 0.3), std=(2,) * 3)
  photo = _photo(*shape)
  expected = depth.predict(photo, described._replace(variables=_PARAMS))
  result = predictors.disparity(described, _PARAMS, photo[None])
  np.testing.assert_allclose(result[0], expected, atol=1e-6)
  normalised = (photo - [0.1, 0.2, 0.3]) / 2
  raw = predictors.raw(described, _PARAMS, photo[None])[0, ..., 0]
  np.testing.assert_allclose(raw, 3 * normalised @ [1, -2, 0], atol=1e-5)


@pytest.mark.parametrize('metric', [False, True])
def test_depth_is_inverted_if_metric_else_negated(metric):
  photo = 1 + _photo(32, 32)
  photo[..., 1] = 0
  described = Predictor('stub', _Stub(), _LONG_SIDE, multiple=8, output='depth', metric=metric)
  raw = predictors.raw(described, _PARAMS, photo[None])[0, ..., 0]
  depths = 3 * photo[..., 0]
  np.testing.assert_allclose(raw, 1 / depths if metric else -depths, rtol=1e-5)
