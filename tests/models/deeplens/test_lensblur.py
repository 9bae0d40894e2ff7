"""The networks of the lens blur: sizes, initialisation, and properties for any parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax.models.deeplens import discs, lensblur
from depthjax.ops import colour

_WIDTHS = (6, 6, 3, 3)
_TINY = {'width': 4, 'upsampler_width': 4, 'features': _WIDTHS, 'upsampler_features': _WIDTHS}
_H, _W = 16, 12
_PRESETS = pytest.mark.parametrize('preset', ['release', 'paper'])


def _images(h=_H, w=_W, seed=0):
  """Photograph, defocus, blurred image, and photograph at twice the size: one example each."""
  rng = np.random.default_rng(seed)
  shapes = (h, w, 3), (h, w, 1), (h, w, 3), (2 * h, 2 * w, 3)
  image, defocus, blurred, guide = (rng.random((1, *shape), np.float32) for shape in shapes)
  return image, 2 * defocus - 1, blurred, guide


@functools.cache
def _tiny(**fields):
  """A tiny network and its initial variables."""
  model = lensblur.LensBlur(**{**_TINY, **fields})
  return model, jax.jit(functools.partial(lensblur.initial, model))()


def _shapes(model):
  return jax.eval_shape(functools.partial(lensblur.initial, model))


@functools.cache
def _jitted(model, method, train=False):
  return jax.jit(functools.partial(model.apply, method=method, train=train))


def _upsample(model, variables, image, defocus, blurred, guide):
  return np.asarray(_jitted(model, 'upsample')(variables, image, blurred, defocus, guide))


_KERNELS, _WEIGHTS = ('kernel_net', 'kernels'), ('upsampler', 'weights')
_ALL_WEIGHT = 1e6  # So large that the prior does not matter.


def _with_bias(variables, net, bias, j=slice(None)):
  """The variables with a bias for map j in the convolution of a net's weights, and 0 elsewhere."""
  changed = jax.tree.map(lambda x: x, variables)
  conv = changed['params'][net[0]][net[1]]['conv']
  conv['kernel'] = jnp.zeros_like(conv['kernel'])
  conv['bias'] = jnp.zeros_like(conv['bias']).at[j].set(bias)
  return changed


@functools.cache
def _kernels(preset):
  """The kernel net of a preset: a function of photograph and defocus, and its result."""
  model, variables = _tiny(preset=preset)

  @jax.jit
  def kernels(image, defocus):
    net = lambda model: model.kernel_net(image, defocus, False)  # noqa: E731
    return model.apply(variables, method=net, capture_intermediates=True)

  return kernels, *kernels(*_images()[:2])


@pytest.mark.parametrize('preset, low, high', [('release', 0, 1e-4), ('paper', 1e-2, 0.9)])
def test_kernels_have_a_sum_of_one_in_the_release_and_of_about_one_in_the_paper(preset, low, high):
  _, kernels, _ = _kernels(preset)
  assert kernels.shape == (1, _H, _W, 7) and np.all(kernels >= 0)
  assert low <= np.abs(kernels.sum(axis=-1) - 1).max() < high


def test_the_deep_branch_depends_on_the_defocus_only():
  function, kernels, state = _kernels('release')
  image, defocus, _, _ = _images()
  other, other_state = function(1 - image, defocus)
  net, other_net = (x['intermediates']['kernel_net'] for x in (state, other_state))
  np.testing.assert_array_equal(net['deep3']['__call__'][0], other_net['deep3']['__call__'][0])
  assert np.abs(other - kernels).max() > 1e-4
  sizes = {'reduce': (4, 3, 4), 'conv': (4, 3, 4), 'expand': (2, 2, 16), 'project': (2, 2, 16)}
  assert {name: net['deep2'][name]['__call__'][0].shape[1:] for name in sizes} == sizes


@pytest.mark.parametrize(
  'preset, expected',
  [('release', (40_275, 521_055, 1_474_781)), ('paper', (43_653, 521_312, 1_425_026))],
)
def test_networks_have_the_published_numbers_of_parameters(preset, expected):
  params = _shapes(lensblur.LensBlur(preset=preset))['params']
  for name, count in zip(('feature_net', 'kernel_net', 'upsampler'), expected, strict=True):
    assert sum(x.size for x in jax.tree.leaves(params[name])) == count


@pytest.mark.parametrize('light', ['linear', 'srgb'])
def test_the_first_feature_is_the_photograph(light):
  model, variables = _tiny(light=light)
  image, defocus, _, _ = _images()
  variables = _with_bias(variables, _KERNELS, _ALL_WEIGHT, 0)
  np.testing.assert_allclose(_jitted(model, 'blur')(variables, image, defocus), image, atol=1e-5)


def test_the_upsampler_can_select_either_image():
  model, variables = _tiny()
  image, defocus, blurred, guide = _images()
  sharp = _with_bias(variables, _WEIGHTS, _ALL_WEIGHT, 1)
  result = _upsample(model, sharp, image, defocus, blurred, guide)
  np.testing.assert_allclose(result, guide, atol=1e-4)
  soft = _with_bias(variables, _WEIGHTS, _ALL_WEIGHT, 0)
  halves = np.broadcast_to(np.arange(_W)[:, None] >= _W // 2, blurred.shape).astype(np.float32)
  result = _upsample(model, soft, image, defocus, halves, guide)
  # The two columns at the edge have a quarter and three quarters of the light, in sRGB.
  np.testing.assert_allclose(result[0, 0, _W - 1 : _W + 1, 0], [0.5371, 0.8808], atol=1e-3)


def test_the_upsamplers_of_both_presets_agree_where_their_common_maps_have_all_weight():
  (paper, two), (release, many) = (
    _tiny(preset=preset, initialisation='xavier') for preset in ('paper', 'release')
  )
  stats = two['batch_stats']
  two, many = two['params']['upsampler'], dict(many['params']['upsampler'])
  conv = two['weights']['conv']
  rest = many['weights']['conv']['bias'].size - 2
  params = {name: two.get(name, many[name]) for name in many}
  # The other maps get the weight 0.
  wide = {name: jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, rest),)) for name, x in conv.items()}
  params['weights'] = {'conv': wide}
  results = [
    _upsample(model, {'params': {'upsampler': tree}, 'batch_stats': stats}, *_images())
    for model, tree in ((paper, two), (release, params))
  ]
  assert rest == 6 and np.ptp(results[0]) > 0.1
  np.testing.assert_allclose(results[1], results[0], atol=1e-6)


@functools.cache
def _gradients(remat):
  model, variables = _tiny(remat=remat)
  image, defocus, _, guide = _images()

  def loss(params):
    arguments = {**variables, 'params': params}, image, defocus, guide, True
    outputs, state = model.apply(*arguments, mutable=['batch_stats'])
    return sum((x**2).mean() for x in outputs), (outputs, state)

  traced = jax.jit(jax.value_and_grad(loss, has_aux=True)).trace(variables['params'])
  return variables, traced.lower().compile()(variables['params']), str(traced.jaxpr)


@pytest.mark.slow
def test_rematerialisation_changes_no_result():
  (variables, plain, jaxpr), (again, remat, remat_jaxpr) = _gradients(False), _gradients(True)
  jax.tree.map(np.testing.assert_array_equal, again, variables)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), remat, plain)
  # Six bottlenecks and the U-Net.
  assert (jaxpr.count('remat'), remat_jaxpr.count('remat')) == (0, 7)


def test_all_parameters_have_gradients():
  _, (_, grads), _ = _gradients(False)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all() and np.any(grad), jax.tree_util.keystr(path)


def test_bfloat16_networks_have_float32_variables_and_results():
  model, variables = _tiny()
  half = lensblur.LensBlur(**_TINY, dtype=jnp.bfloat16)
  image, defocus, _, guide = _images()
  outputs, expected = (_jitted(x, None)(variables, image, defocus, guide) for x in (half, model))
  assert all(x.dtype == jnp.float32 for x in (*outputs, *jax.tree.leaves(_shapes(half))))
  for output, exact in zip(outputs, expected, strict=True):
    np.testing.assert_allclose(output, exact, atol=0.03)
    assert np.abs(output - exact).max() > 1e-5


@_PRESETS
def test_pixels_far_from_any_defocus_do_not_change(preset):
  """For any parameters, such as after training."""
  model, variables = _tiny(preset=preset, radius=2)
  image, defocus, _, guide = _images(40, 24)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape).astype('f') ** 2, variables)
  low, high = _jitted(model, None)(variables, image, np.zeros_like(defocus), guide)
  np.testing.assert_allclose(low, image, atol=2e-6)
  np.testing.assert_allclose(high, guide, atol=2e-6)
  half = np.where(np.arange(40)[:, None, None] < 20, defocus, 0)
  low, high = _jitted(model, None)(variables, image, half, guide)
  np.testing.assert_allclose(low[:, 25:], image[:, 25:], atol=2e-6)
  # Upsampling reads one more low-resolution pixel.
  np.testing.assert_allclose(high[:, 51:], guide[:, 51:], atol=2e-6)
  assert np.abs(low - image)[:, :23].max() > 0.05


def test_an_untrained_network_blurs_planes_by_discs():
  model, variables = _tiny(radius=3, features=(18, 18, 12, 12))
  guide = np.random.default_rng(0).random((1, 48, 48, 3), np.float32)
  halved = np.asarray(colour.srgb_to_linear(guide)).reshape(1, 24, 2, 24, 2, 3).mean((2, 4))
  image = np.asarray(colour.linear_to_srgb(halved))
  low, high = _jitted(model, None)(variables, image, np.full((1, 24, 24, 1), -0.8, 'f'), guide)
  for blurred, source, radius in ((low, image, 2.4), (high, guide, 4.8)):
    light = np.asarray(colour.srgb_to_linear(source))
    kernel = discs.draw(discs.Shape(radius), 6)[..., None]
    expected = np.asarray(colour.linear_to_srgb(scipy.ndimage.correlate(light[0], kernel)))
    error, change = (np.abs(x[0] - expected)[9:-9, 9:-9].mean() for x in (blurred, source))
    assert error < 0.25 * change


@_PRESETS
def test_results_are_finite_if_all_weights_are_zero(preset):
  """Without defocus, and if the ReLU returns zeros everywhere."""
  model, variables = _tiny(preset=preset)
  image, defocus, _, guide = _images()
  dead = _with_bias(_with_bias(variables, _KERNELS, -1), _WEIGHTS, -1)
  for tree, x in ((variables, np.zeros_like(defocus)), (dead, defocus)):
    assert all(np.isfinite(y).all() for y in _jitted(model, None)(tree, image, x, guide))


@pytest.mark.parametrize('size', [(13, 17), (1, 1), (16, 9)])
def test_any_size_is_accepted(size):
  model, variables = _tiny()
  image, defocus, _, guide = _images(*size)
  apply = functools.partial(model.apply, train=False)
  low, high = jax.eval_shape(apply, variables, image, defocus, guide)
  assert low.shape == image.shape and high.shape == guide.shape


def test_examples_are_independent_in_evaluation():
  model, variables = _tiny()
  image, defocus, _, guide = map(np.concatenate, zip(_images(), _images(seed=1), strict=True))
  both = _jitted(model, None)(variables, image, defocus, guide)
  alone = _jitted(model, None)(variables, image[:1], defocus[:1], guide[:1])
  for result, expected in zip(both, alone, strict=True):
    np.testing.assert_allclose(result[:1], expected, atol=1e-5)


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'preset': 'papr'}, "preset is 'papr'; it can be"),
    ({'features': (6, 4)}, 'multiple of 3'),
    ({'threshold': -0.1}, 'threshold is -0.1; at least 0'),
    ({'threshold': 0.1, 'initialisation': 'xavier'}, "0 unless initialisation is 'disc'"),
  ],
)
def test_invalid_fields_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _shapes(lensblur.LensBlur(**fields))
