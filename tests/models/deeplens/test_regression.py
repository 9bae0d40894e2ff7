"""The generator of the regression baseline: sizes, widths and range."""

import functools

import jax
import numpy as np
import pytest

from depthjax.models.deeplens import regression


@functools.cache
def _run(size, depth):
  model = regression.Generator(width=3, depth=depth)
  x = np.random.default_rng(0).normal(0, 3, (1, *size, 5)).astype(np.float32)
  variables = jax.jit(functools.partial(model.init, train=True))(jax.random.key(0), x)
  return jax.jit(functools.partial(model.apply, train=False)), variables, x


@pytest.mark.parametrize('size, depth', [((16, 16), 3), ((13, 22), 3), ((8, 8), 1)])
def test_any_size_is_accepted_and_results_are_in_range(size, depth):
  apply, variables, x = _run(size, depth)
  y = apply(variables, x)
  assert y.shape == (1, *size, 3) and y.dtype == np.float32
  assert 0 <= y.min() < y.max() <= 1


def test_the_receptive_field_is_the_full_image():
  apply, variables, x = _run((16, 16), 3)
  changed = x.copy()
  changed[0, 0, 0] += 5
  assert (apply(variables, changed) != apply(variables, x))[0, 15, 15].any()


def test_widths_double_up_to_eight_times_and_the_decoder_mirrors_them():
  model = regression.Generator(width=2, depth=5)
  x = np.zeros((1, 32, 32, 5), np.float32)
  params = jax.eval_shape(functools.partial(model.init, train=True), jax.random.key(0), x)['params']
  # Channels in and out; the input of the decoder has the skip connections.
  down = [(5, 2), (2, 4), (4, 8), (8, 16), (16, 16)]
  up = [(4, 2), (8, 2), (16, 4), (32, 8), (16, 16)]
  for name, size, widths in (('down', 4, down), ('up', 3, up)):
    shapes = [params[f'{name}{i}']['conv']['kernel'].shape for i in range(5)]
    assert shapes == [(size, size, *pair) for pair in widths]
