"""The kernel net of the lens blur: what its kernels sum to, and what each branch sees."""

import functools

import jax
import numpy as np

from depthjax.models.deeplens import lensblur

_H, _W = 16, 12


def _images():
  """Photograph and defocus of one example."""
  rng = np.random.default_rng(0)
  image, defocus = (rng.random((1, _H, _W, c), np.float32) for c in (3, 1))
  return image, 2 * defocus - 1


@functools.cache
def _tiny(preset):
  """A tiny network and its fresh variables."""
  widths = {'features': (6, 6, 3, 3), 'upsampler_features': (6, 6, 3, 3)}
  model = lensblur.LensBlur(width=4, upsampler_width=4, preset=preset, **widths)
  guide = np.zeros((1, 2 * _H, 2 * _W, 3), np.float32)
  init = jax.jit(functools.partial(model.init, train=False))
  return model, init(jax.random.key(0), *_images(), guide)


@functools.cache
def _kernels(preset):
  model, variables = _tiny(preset)
  image, defocus = _images()

  @jax.jit
  def kernels(image, defocus):
    net = lambda model: model.kernel_net(image, defocus, False)  # noqa: E731
    return model.apply(variables, method=net, capture_intermediates=True)

  return kernels, *kernels(image, defocus)


def test_kernels_of_the_release_sum_to_one():
  _, kernels, _ = _kernels('release')
  assert kernels.shape == (1, _H, _W, 7) and np.all(kernels >= 0)
  np.testing.assert_allclose(kernels.sum(axis=-1), 1, atol=1e-4)


def test_kernels_of_the_paper_are_free_but_start_near_one():
  _, kernels, _ = _kernels('paper')
  sums = np.asarray(kernels.sum(axis=-1))
  assert np.all(kernels >= 0) and np.abs(sums - 1).max() > 1e-2
  assert 0.5 < sums.mean() < 2


def test_the_deep_branch_sees_the_defocus_alone_and_strides_last():
  function, kernels, state = _kernels('release')
  image, defocus = _images()
  other, other_state = function(1 - image, defocus)
  net, other_net = (x['intermediates']['kernel_net'] for x in (state, other_state))
  np.testing.assert_array_equal(net['deep3']['__call__'][0], other_net['deep3']['__call__'][0])
  assert np.abs(other - kernels).max() > 1e-4
  sizes = {'reduce': (4, 3, 4), 'conv': (4, 3, 4), 'expand': (2, 2, 16), 'project': (2, 2, 16)}
  assert {name: net['deep2'][name]['__call__'][0].shape[1:] for name in sizes} == sizes
