"""The U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax.models.predictors import runs, unet

_SIDE = 2 * unet.STRIDE


@pytest.fixture(scope='module')
def case():
  model = unet.UNet(width=4)
  image = jax.random.uniform(jax.random.key(1), (2, _SIDE, _SIDE, 3))
  return model, jax.jit(model.init)(jax.random.key(0), image), image


def test_an_output_has_the_size_of_the_image_and_depends_on_all_levels(case):
  model, variables, image = case
  gradient = jax.jit(jax.grad(lambda v: (model.apply(v, image) ** 2).sum()))(variables)
  levels = {f'{way}{i}' for way in ('down', 'up') for i in range(unet.LEVELS)}
  levels -= {f'up{unet.LEVELS - 1}'}
  assert model.apply(variables, image).shape == (2, _SIDE, _SIDE, 1)
  assert set(gradient['params']) == {*levels, 'head'}
  assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(gradient))


def test_an_example_does_not_depend_on_the_others(case):
  model, variables, image = case
  both = model.apply(variables, image)
  np.testing.assert_allclose(both[:1], model.apply(variables, image[:1]), atol=1e-5)


def test_rematerialised_levels_have_the_same_variables_and_output(case):
  model, variables, image = case
  again = model.clone(remat=True)
  np.testing.assert_allclose(again.apply(variables, image), model.apply(variables, image), atol=1e-6)


def test_a_config_describes_one_and_fields_of_other_networks_are_ignored():
  fields = {'network': 'unet', 'width': 4, 'momentum': 0.9, 'size': 'small', 'dtype': 'bfloat16'}
  predictor = runs.describe(fields)
  assert predictor.network == unet.UNet(width=4, dtype=jnp.bfloat16)
  assert predictor.multiple == unet.STRIDE


def test_an_odd_size_says_what_is_right(case):
  model, variables, image = case
  with pytest.raises(ValueError, match=f'multiples of {unet.STRIDE}'):
    model.apply(variables, image[:, :-1])


def test_a_width_that_groups_do_not_divide_says_what_is_right():
  with pytest.raises(ValueError, match='width is 6'):
    runs.describe({'network': 'unet', 'width': 6, 'dtype': 'float32'}).network.init(
      jax.random.key(0), jnp.zeros((1, _SIDE, _SIDE, 3))
    )
