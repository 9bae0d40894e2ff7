"""The networks of the lens blur: their sizes in the paper, and what holds whatever they learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from depthjax.models.deeplens import discs, lensblur
from depthjax.ops import colour

_TINY = {
  'width': 4,
  'upsampler_width': 4,
  'features': (6, 6, 3, 3),
  'upsampler_features': (6, 6, 3, 3),
}
_H, _W = 16, 12


def _images(h=_H, w=_W, seed=0):
  """Photograph, defocus, blurred picture and the photograph at twice the size, one example."""
  rng = np.random.default_rng(seed)
  shapes = (h, w, 3), (h, w, 1), (h, w, 3), (2 * h, 2 * w, 3)
  image, defocus, blurred, guide = (rng.random((1, *shape), np.float32) for shape in shapes)
  return image, 2 * defocus - 1, blurred, guide


@functools.cache
def _tiny(**fields):
  """A tiny network and its fresh variables."""
  model = lensblur.LensBlur(**{**_TINY, **fields})
  image, defocus, _, guide = _images()
  init = jax.jit(functools.partial(model.init, train=False))
  return model, init(jax.random.key(0), image, defocus, guide)


def _shapes(model):
  """Shapes and types of a network's variables."""
  image, defocus, _, guide = _images()
  init = functools.partial(model.init, train=False)
  return jax.eval_shape(init, jax.random.key(0), image, defocus, guide)


@functools.cache
def _jitted(model, method, train=False):
  return jax.jit(functools.partial(model.apply, method=method, train=train))


def _blur(model, variables, image, defocus):
  return np.asarray(_jitted(model, 'blur')(variables, image, defocus))


def _upsample(model, variables, image, defocus, blurred, guide):
  return np.asarray(_jitted(model, 'upsample')(variables, image, blurred, defocus, guide))


def _with_bias(variables, path, bias):
  """The variables with the convolution at a path replaced by a bias that no pixel changes."""
  changed = jax.tree.map(lambda x: x, variables)
  conv = functools.reduce(lambda tree, name: tree[name], path.split('/'), changed['params'])
  conv['kernel'], conv['bias'] = jnp.zeros_like(conv['kernel']), jnp.asarray(bias, jnp.float32)
  return changed


def _one_hot(variables, path, j):
  conv = functools.reduce(lambda tree, name: tree[name], path.split('/'), variables['params'])
  # Large, so that nothing else that is added counts.
  return _with_bias(variables, path, 1e6 * np.eye(conv['bias'].size)[j])


_COUNTS = {
  'release': {'feature_net': 40_275, 'kernel_net': 521_055, 'upsampler': 1_474_781},
  'paper': {'feature_net': 43_653, 'kernel_net': 521_312, 'upsampler': 1_425_026},
}


@pytest.mark.parametrize('preset', _COUNTS)
def test_the_networks_have_the_published_numbers_of_parameters(preset):
  params = _shapes(lensblur.LensBlur(preset=preset))['params']
  counts = {name: sum(x.size for x in jax.tree.leaves(tree)) for name, tree in params.items()}
  assert counts == _COUNTS[preset]


@pytest.mark.parametrize('light', ['linear', 'srgb'])
def test_the_first_feature_alone_gives_the_photograph(light):
  model, variables = _tiny(light=light)
  image, defocus, _, _ = _images()
  variables = _one_hot(variables, 'kernel_net/kernels/conv', 0)
  np.testing.assert_allclose(_blur(model, variables, image, defocus), image, atol=1e-5)


def test_the_upsampler_passes_on_either_of_its_sources():
  """Of linear light: the enlarged blur is a mean of light, the photograph comes as it is."""
  model, variables = _tiny()
  image, defocus, blurred, guide = _images()
  sharp = _one_hot(variables, 'upsampler/weights/conv', 1)
  result = _upsample(model, sharp, image, defocus, blurred, guide)
  np.testing.assert_allclose(result, guide, atol=1e-4)
  soft = _one_hot(variables, 'upsampler/weights/conv', 0)
  result = _upsample(model, soft, image, defocus, np.full_like(blurred, 0.3), guide)
  np.testing.assert_allclose(result, 0.3, atol=1e-4)
  halves = np.broadcast_to(np.arange(_W)[:, None] >= _W // 2, blurred.shape).astype(np.float32)
  result = _upsample(model, soft, image, defocus, halves, guide)
  # Two columns at the step: a quarter and three quarters of the light, encoded.
  np.testing.assert_allclose(result[0, 0, _W - 1 : _W + 1, 0], [0.5371, 0.8808], atol=1e-3)


def test_both_heads_agree_where_only_their_common_maps_have_weight():
  """Eq. 3 is the special case of two maps of the released graph."""
  (paper, two), (release, many) = (
    _tiny(preset='paper', initialisation='xavier'),
    _tiny(initialisation='xavier'),
  )
  two, many = two['params']['upsampler'], dict(many['params']['upsampler'])
  kernel, bias = two['weights']['conv']['kernel'], two['weights']['conv']['bias']
  rest = many['weights']['conv']['bias'].size - 2
  params = {name: two.get(name, many[name]) for name in many}
  wider = {
    'kernel': jnp.pad(kernel, ((0, 0),) * 3 + ((0, rest),)),
    'bias': jnp.pad(bias, (0, rest)),
  }
  params['weights'] = {'conv': wider}
  image, defocus, blurred, guide = _images()
  stats = _tiny(preset='paper', initialisation='xavier')[1]['batch_stats']
  results = [
    _upsample(
      model,
      {'params': {'upsampler': tree}, 'batch_stats': stats},
      *(image, defocus, blurred, guide),
    )
    for model, tree in ((paper, two), (release, params))
  ]
  assert rest == 6 and np.ptp(results[0]) > 0.1
  np.testing.assert_allclose(results[1], results[0], atol=1e-6)


@functools.cache
def _gradients(remat):
  model, variables = _tiny(remat=remat)
  image, defocus, _, guide = _images()

  def loss(params, state):
    variables = {'params': params, **state}
    (low, high), state = model.apply(
      variables, image, defocus, guide, True, mutable=['batch_stats']
    )
    return (low**2).mean() + (high**2).mean(), (low, high, state)

  arguments = variables['params'], {'batch_stats': variables['batch_stats']}
  traced = jax.jit(jax.value_and_grad(loss, has_aux=True)).trace(*arguments)
  return variables, traced.lower().compile()(*arguments), str(traced.jaxpr)


@pytest.mark.slow
def test_recomputing_blocks_changes_nothing():
  (variables, kept, jaxpr), (again, recomputed, recomputing) = _gradients(False), _gradients(True)
  jax.tree.map(np.testing.assert_array_equal, again, variables)
  close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
  jax.tree.map(close, recomputed, kept)
  # Six bottlenecks and the U-Net, each recomputed once.
  assert (jaxpr.count('remat'), recomputing.count('remat')) == (0, 7)


def test_gradients_reach_every_parameter():
  _, (_, grads), _ = _gradients(False)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.isfinite(grad).all() and np.any(grad), jax.tree_util.keystr(path)


def test_half_precision_inside_is_float32_outside():
  model, variables = _tiny()
  half = lensblur.LensBlur(**_TINY, dtype=jnp.bfloat16)
  image, defocus, _, guide = _images()
  outputs = _jitted(half, None)(variables, image, defocus, guide)
  expected = _jitted(model, None)(variables, image, defocus, guide)
  assert all(x.dtype == jnp.float32 for x in (*outputs, *jax.tree.leaves(_shapes(half))))
  for output, exact in zip(outputs, expected, strict=True):
    np.testing.assert_allclose(output, exact, atol=0.03)
    assert np.abs(output - exact).max() > 1e-5


def _changed(variables, seed=0):
  """The variables after what any training may do to them."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape).astype(np.float32) ** 2, variables)


@pytest.mark.parametrize('preset', ['release', 'paper'])
def test_what_nothing_out_of_focus_can_reach_stays_as_it_is(preset):
  """Whatever was learned: a closed aperture returns the photograph, and so do planes in focus."""
  model, variables = _tiny(preset=preset, radius=2)
  image, defocus, _, guide = _images(40, 24)
  variables = _changed(variables)
  low, high = _jitted(model, None)(variables, image, np.zeros_like(defocus), guide)
  np.testing.assert_allclose(low, image, atol=2e-6)
  np.testing.assert_allclose(high, guide, atol=2e-6)
  half = np.where(np.arange(40)[:, None, None] < 20, defocus, 0)
  low, high = _jitted(model, None)(variables, image, half, guide)
  np.testing.assert_allclose(low[:, 25:], image[:, 25:], atol=2e-6)
  # Enlarging reads one more pixel of the lower resolution.
  np.testing.assert_allclose(high[:, 51:], guide[:, 51:], atol=2e-6)
  assert np.abs(low - image)[:, :23].max() > 0.05


def test_planes_start_as_discs():
  """Before any training a plane out of focus is blurred by its disc, at both resolutions."""
  model, variables = _tiny(radius=3, features=(18, 18, 12, 12))
  guide = np.random.default_rng(0).random((1, 48, 48, 3), np.float32)
  halved = np.asarray(colour.srgb_to_linear(guide)).reshape(1, 24, 2, 24, 2, 3).mean((2, 4))
  image = np.asarray(colour.linear_to_srgb(halved))
  low, high = _jitted(model, None)(variables, image, np.full((1, 24, 24, 1), -0.8, 'f'), guide)
  for blurred, source, radius in ((low, image, 2.4), (high, guide, 4.8)):
    light = np.asarray(colour.srgb_to_linear(source))
    kernel = discs.draw(discs.Shape(radius), 6)[..., None]
    expected = colour.linear_to_srgb(scipy.ndimage.correlate(light[0], kernel))
    middle = slice(9, -9)
    difference = np.abs(np.asarray(blurred)[0] - np.asarray(expected))[middle, middle]
    assert (
      difference.mean() < 0.25 * np.abs(source[0] - np.asarray(expected))[middle, middle].mean()
    )


def test_the_upsampler_starts_with_small_blurs_of_the_sharp_photograph():
  model, variables = _tiny()
  image, defocus, blurred, guide = _images()
  variables = _one_hot(variables, 'upsampler/weights/conv', 3)
  result = _upsample(model, variables, image, defocus, blurred, guide)
  other = _upsample(model, variables, image, defocus, 1 - blurred, guide)
  np.testing.assert_allclose(result, other, atol=1e-4)
  assert 0.01 < np.abs(result - guide).mean() < 0.3


@pytest.mark.parametrize('preset', ['release', 'paper'])
def test_everything_in_focus_is_finite(preset):
  """A constant depth map is a defocus of zero."""
  model, variables = _tiny(preset=preset)
  image, defocus, _, guide = _images()
  outputs = _jitted(model, None)(variables, image, np.zeros_like(defocus), guide)
  assert all(np.isfinite(x).all() for x in outputs)
  # Also where a ReLU has cut off every weight of a kernel.
  dead = _with_bias(variables, 'kernel_net/kernels/conv', -np.ones(7))
  dead = _with_bias(dead, 'upsampler/weights/conv', -np.ones(8 if preset == 'release' else 2))
  assert all(np.isfinite(x).all() for x in _jitted(model, None)(dead, image, defocus, guide))


@pytest.mark.parametrize('size', [(13, 17), (3, 5), (1, 1), (16, 9)])
def test_any_size_runs(size):
  model, variables = _tiny()
  image, defocus, _, guide = _images(*size)
  apply = functools.partial(model.apply, train=False)
  low, high = jax.eval_shape(apply, variables, image, defocus, guide)
  assert low.shape == image.shape and high.shape == guide.shape
  if size == (13, 17):
    assert all(np.isfinite(x).all() for x in jax.jit(apply)(variables, image, defocus, guide))


def test_without_training_examples_do_not_see_each_other():
  model, variables = _tiny()
  apply = _jitted(model, None)
  one = [np.concatenate([x, y]) for x, y in zip(_images(), _images(seed=1), strict=True)]
  two = [np.concatenate([x, y]) for x, y in zip(_images(), _images(seed=2), strict=True)]
  results = [apply(variables, x[0], x[1], x[3]) for x in (one, two)]
  for a, b in zip(*results, strict=True):
    np.testing.assert_allclose(a[0], b[0], atol=1e-6)
    assert np.abs(a[1] - b[1]).max() > 1e-3


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'preset': 'papr'}, "preset is 'papr'; it can be"),
    ({'features': (6, 4)}, 'multiple of 3'),
    ({'threshold': -0.1}, 'threshold is -0.1; at least 0'),
    ({'threshold': 0.1, 'initialisation': 'xavier'}, "0 unless initialisation is 'disc'"),
  ],
)
def test_impossible_networks_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _shapes(lensblur.LensBlur(**fields))
