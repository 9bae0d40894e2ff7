"""The vision transformer: its features, and positions for other grids of patches."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.encoders.vit import ViT

_MODEL = ViT(4, 16, 2, (0, 2), grid=3)


@functools.cache
def _variables(model):
  variables = jax.device_get(jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 12, 12, 3))))
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda x: rng.standard_normal(x.shape).astype(np.float32) * 0.3, variables)


def _image(h, w):
  return np.random.default_rng(1).random((2, h, w, 3), np.float32)


def test_features_are_those_after_the_taps_and_end_there():
  variables, image = _variables(_MODEL), _image(12, 20)
  first, last = _MODEL.apply(variables, image)
  assert first.patches.shape == last.patches.shape == (2, 3, 5, 16) and last.cls.shape == (2, 16)
  assert {f'block{i}' for i in range(3)} == {x for x in variables['params'] if 'block' in x}
  (alone,) = _MODEL.copy(taps=(0,)).apply(variables, image)
  np.testing.assert_array_equal(alone.patches, first.patches)
  # All tokens are normalised: mean and variance before scale and bias.
  norm = variables['params']['norm']
  y = (last.patches - norm['bias']) / norm['scale']
  np.testing.assert_allclose(y.mean(-1), 0, atol=1e-4)
  np.testing.assert_allclose(y.var(-1), 1, atol=1e-3)


@pytest.mark.parametrize(
  'kind, flag', [('bicubic', cv2.INTER_CUBIC), ('bilinear', cv2.INTER_LINEAR)]
)
def test_positions_are_interpolated_as_opencv_does(kind, flag):
  model = _MODEL.copy(taps=(0,), positions=kind, final_norm=False)
  variables = _variables(model)
  table = variables['params']['pos_embed']
  resized = cv2.resize(table[0, 1:].reshape(3, 3, 16), (7, 5), interpolation=flag)
  exact = jnp.concatenate([table[:, :1], resized.reshape(1, 35, 16)], axis=1)
  image = _image(20, 28)
  (result,) = model.apply(variables, image)
  # A network that stores these positions for 35 patches in a row has the same tokens.
  row = image.reshape(2, 5, 4, 7, 4, 3).swapaxes(2, 3).reshape(2, 35, 4, 4, 3)
  row = row.swapaxes(1, 2).reshape(2, 4, 140, 3)
  stored = {'params': {**variables['params'], 'pos_embed': exact}}
  (expected,) = _Stored(4, 16, 2, (0,), grid=3, final_norm=False).apply(stored, row)
  np.testing.assert_allclose(result.patches.reshape(2, 35, 16), expected.patches[:, 0], atol=1e-4)


class _Stored(ViT):
  """Positions of any number, as they are."""

  def param(self, name, *rest, **options):
    if name == 'pos_embed':
      return self.get_variable('params', name)
    return super().param(name, *rest, **options)

  def _positions(self, table, shape):
    return table


def test_other_sizes_are_refused():
  with pytest.raises(ValueError, match='the image is 12 x 14; both must be multiples of 4'):
    _MODEL.apply(_variables(_MODEL), _image(12, 14))
