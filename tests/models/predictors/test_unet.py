"""The U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.predictors import runs, unet

_SHAPE = 2 * unet.STRIDE, 2 * unet.STRIDE, 3


@pytest.fixture(scope='module')
def case():
  model = unet.UNet(width=4)
  image = jax.random.uniform(jax.random.key(1), (2, *_SHAPE))
  variables = jax.jit(model.init)(jax.random.key(0), image)
  return model, variables, image, jax.jit(model.apply)


def test_the_output_has_the_size_of_the_image_and_depends_on_all_levels(case):
  model, variables, image, apply = case
  output = apply(variables, image)
  assert output.shape == (*image.shape[:3], 1)
  params = variables['params']
  assert len(params) == 2 * unet.LEVELS
  for name, x in params.items():
    changed = {**params, name: jax.tree.map(lambda x: 1.5 * x + 0.1, x)}
    assert np.abs(apply({'params': changed}, image) - output).max() > 1e-3, name


def test_an_example_does_not_depend_on_the_others(case):
  _, variables, image, apply = case
  other = image.at[1].set(1 - image[1])
  np.testing.assert_allclose(apply(variables, other)[0], apply(variables, image)[0], atol=1e-6)


def test_rematerialised_levels_have_the_same_variables_and_output(case):
  model, variables, image, apply = case
  output = jax.jit(model.clone(remat=True).apply)(variables, image)
  np.testing.assert_allclose(output, apply(variables, image), atol=1e-5)


def test_a_config_describes_one_and_fields_of_other_networks_are_ignored():
  fields = {'network': 'unet', 'width': 4, 'momentum': 0.9, 'size': 'small', 'dtype': 'bfloat16'}
  predictor = runs.describe(fields)
  assert predictor.network == unet.UNet(width=4, dtype=jnp.bfloat16)
  assert predictor.multiple == unet.STRIDE


@pytest.mark.parametrize(
  'width, height, words', [(8, 31, '31 x 32; .* multiples of 16'), (6, 32, 'width is 6; .* of 4')]
)
def test_other_sizes_are_refused(width, height, words):
  with pytest.raises(ValueError, match=words):
    jax.eval_shape(unet.UNet(width).init, jax.random.key(0), jnp.zeros((1, height, 32, 3)))
