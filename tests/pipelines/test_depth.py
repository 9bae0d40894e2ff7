"""Disparity of photographs: any size, the range, and what the network is shown."""

import functools

import jax
import numpy as np
import pytest
from flax import linen as nn

from depthjax.files import weights
from depthjax.files.errors import InputError
from depthjax.models.deeplens import depthnet
from depthjax.models.deeplens.depthnet import DepthNet
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor
from depthjax.ops import colour
from depthjax.pipelines import depth
from tests import tiny

_LONG_SIDE = 32


def _photo(h, w):
  return np.random.default_rng(0).random((h, w, 3), np.float32)


@functools.cache
def _predictor():
  """A tiny network and its untrained variables."""
  model = DepthNet(preset='paper', width=2)
  variables = jax.jit(functools.partial(depthnet.initial, model))()
  described = Predictor('tiny', model, _LONG_SIDE, multiple=depthnet.STRIDE)
  return described._replace(variables=jax.device_get(variables))


@pytest.mark.parametrize(
  'shape, long_side, expected',
  [
    ((640, 640), 320, (320, 320)),
    ((480, 640), 320, (240, 320)),
    ((427, 640), 320, (216, 320)),
    ((640, 427), 320, (320, 216)),
    ((4000, 6000), 320, (216, 320)),
    ((40, 60), 96, (64, 96)),
    ((1, 5000), 320, (8, 320)),
    ((1, 1), 96, (96, 96)),
  ],
)
def test_the_network_sees_multiples_of_eight(shape, long_side, expected):
  predictor = Predictor('tiny', None, long_side, multiple=8)
  assert predictors.frame(predictor, shape) == expected


@pytest.mark.parametrize('shape', [(21, 33), (32, 32), (57, 40), (1, 50)])
def test_disparity_has_the_size_of_the_photograph_and_fills_its_range(shape):
  result = depth.predict(_photo(*shape), _predictor())
  assert result.shape == (*shape, 1) and result.dtype == np.float32
  assert result.min() == 0 and 1 - 1e-3 < result.max() <= 1


def _shown(monkeypatch, photo, answer):
  """What the network is shown of a photograph, and the result of its answer."""
  seen = []

  def network(variables, image):
    seen.append(np.asarray(image))
    return answer(image)

  monkeypatch.setattr(depth, '_compiled', lambda predictor: network)
  return depth.predict(photo, _predictor()), seen


def test_the_network_is_shown_the_mean_light_of_areas(monkeypatch):
  """Bright and dark columns in turn: the middle of their light, not of their values."""
  photo = np.full((64, 128, 3), 0.2, np.float32)
  photo[:, ::2] = 0.8
  result, (image,) = _shown(monkeypatch, photo, lambda image: 3 * image[..., :1])
  assert image.shape == (1, 16, 32, 3)
  light = colour.srgb_to_linear(np.float32([0.2, 0.8])).mean()
  middle = float(colour.linear_to_srgb(light))
  np.testing.assert_allclose(image[:, :, 4:-4], middle, atol=0.05)
  assert 0.57 < middle < 0.65 and result.shape == (64, 128, 1)


def test_a_photograph_keeps_its_place(monkeypatch):
  """Bright is near: the answer lies where its cause does, within a pixel of the network."""
  photo = np.zeros((48, 96, 3), np.float32)
  photo[12:30, 15:60] = 1
  result, _ = _shown(monkeypatch, photo, lambda image: image[..., :1] - 7)
  wrong = (result[..., 0] > 0.5) != (photo[..., 0] > 0.5)
  assert wrong.mean() < 0.06 and wrong[:8].sum() == wrong[34:].sum() == 0
  assert wrong[14:28, 18:57].sum() == 0


def test_no_relief_is_zero(monkeypatch):
  result, _ = _shown(monkeypatch, _photo(20, 30), lambda image: 0 * image[..., :1] + 4)
  np.testing.assert_array_equal(result, 0)


@pytest.mark.parametrize('shape', [(20, 30), (20, 30, 1), (0, 30, 3)])
def test_what_is_no_photograph_is_refused(shape):
  with pytest.raises(ValueError, match=r'the photograph has the shape .*; it must be \[h w 3\]'):
    depth.predict(np.zeros(shape, np.float32), _predictor())


def _metadata(**fields):
  config = tiny.depth_config(data__width=64).to_dict()
  return {'task': 'deeplens_depth', 'step': 4, 'config': config, **fields}


def test_weights_of_a_run_come_back_as_the_network_that_wrote_them(tmp_path):
  weights.save_weights(tmp_path, _predictor().variables, _metadata())
  for path in (tmp_path, tmp_path / weights.FILE_NAME):
    loaded = depth.load(path)
    assert loaded.input_size == 64
    assert (loaded.network.width, loaded.network.preset) == (2, 'paper')
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, _predictor().variables)
    hash(loaded._replace(variables=None))  # The key under which it is kept compiled.


def _change(path, value):
  def change(config):
    *tables, name = path.split('.')
    functools.reduce(lambda tree, key: tree[key], tables, config)[name] = value

  return change


@pytest.mark.parametrize(
  'change, message',
  [
    (_change('model.width', 4), 'holds other arrays than the network that it describes; expected'),
    (_change('model.preset', 'release'), 'holds other arrays than the network'),
    (_change('model.depth', 3), 'does not describe its network .*depth'),
    (lambda config: config.pop('data'), "does not describe its network .*'data'"),
  ],
)
def test_weights_that_do_not_fit_their_description_are_refused(tmp_path, change, message):
  metadata = _metadata()
  change(metadata['config'])
  weights.save_weights(tmp_path, _predictor().variables, metadata)
  with pytest.raises(InputError, match=message):
    depth.load(tmp_path)


@pytest.mark.parametrize('task', ['lensblur', 'resnet50'])
def test_weights_of_another_task_are_refused(tmp_path, task):
  weights.save_weights(tmp_path, _predictor().variables, _metadata(task=task))
  with pytest.raises(InputError, match=f"of the task '{task}'; expected .*'deeplens_depth'"):
    depth.load(tmp_path)


class _Stub(nn.Module):
  """Disparity by colour, scaled by a parameter."""

  @nn.compact
  def predict(self, image):
    return self.param('scale', nn.initializers.ones, ()) * (image[..., :1] - 2 * image[..., 1:2])


_PARAMS = {'params': {'scale': np.float32(3)}}


@pytest.mark.parametrize('shape', [(64, 96), (32, 32), (21, 50)])
def test_scenes_are_seen_as_photographs_are(shape):
  """In a training step, where the variables are arguments: the same size, the same disparity."""
  described = Predictor('stub', _Stub(), _LONG_SIDE, multiple=8, mean=(0.1, 0.2, 0.3), std=(2,) * 3)
  photo = _photo(*shape)
  expected = depth.predict(photo, described._replace(variables=_PARAMS))
  result = predictors.disparity(described, _PARAMS, photo[None])
  np.testing.assert_allclose(result[0], expected, atol=1e-6)
  seen = (photo - [0.1, 0.2, 0.3]) / 2
  raw = predictors.raw(described, _PARAMS, photo[None])
  np.testing.assert_allclose(raw[0], 3 * (seen[..., :1] - 2 * seen[..., 1:2]), atol=1e-5)


@pytest.mark.parametrize('metric', [False, True])
def test_depth_becomes_disparity(metric):
  """Near is large: an inverse where depth is in metres, a sign where its scale is unknown."""
  photo = _photo(32, 32)
  described = Predictor('stub', _Stub(), _LONG_SIDE, multiple=8, output='depth', metric=metric)
  bright = photo.copy()
  bright[..., 0], bright[..., 1] = 1 + photo[..., 0], 0
  seen = predictors.raw(described, _PARAMS, bright[None])[0, ..., 0]
  depths = 3 * bright[..., 0]
  np.testing.assert_allclose(seen, 1 / depths if metric else -depths, rtol=1e-5)


@pytest.mark.parametrize(
  'rule, expected', [('long', (48, 96)), ('short', (96, 192)), ('square', (96, 96))]
)
def test_the_input_rule_says_which_side_has_the_size(rule, expected):
  predictor = Predictor('stub', None, 96, input_rule=rule, multiple=16)
  assert predictors.frame(predictor, (300, 600)) == expected
  half = tuple(size // 2 for size in expected)
  assert predictors.frame(predictor, (300, 600), 48) == half if rule != 'long' else (32, 48)
