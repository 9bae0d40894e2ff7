"""The task of the lens blur: inputs, losses, metrics and pictures of hand-made scenes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax import tasks
from depthjax.metrics import image as metrics_lib
from depthjax.ops import colour, scatter
from depthjax.tasks import lensblur
from tests import tiny
from tests.tasks.layered import DISPARITY, ENV, SIZE, batch, record, thirds

_RENDER = {'render__radius': 4, 'render__steepness': 4.0, 'render__band': 8}


@functools.cache
def _task(**fields):
  return tasks.make(tiny.lensblur_config(**{**_RENDER, **fields}), ENV)


@functools.cache
def _render(**fields):
  return jax.jit(functools.partial(_task(**fields).inputs, {}))


def _inputs(*records, **fields):
  return jax.device_get(_render(**fields)(batch(*records)))


def test_inputs_have_their_shapes_and_ranges():
  white = record()['layers'] | np.uint8([255, 255, 255, 0])
  inputs = _inputs(record(), record(highlight=10, layers=white))
  names = {'image': 3, 'target': 3, 'defocus': 1}
  shapes = {name: (2, SIZE, SIZE, c) for name, c in {**names, 'disparity': 1}.items()}
  shapes |= {f'{name}_low': (2, SIZE // 2, SIZE // 2, c) for name, c in names.items()}
  assert {name: x.shape for name, x in inputs.items()} == {
    **shapes,
    'focus': (2,),
    'aperture': (2,),
  }
  for name, x in inputs.items():
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert x.min() >= (-1 if 'defocus' in name else 0) and x.max() <= 1


def test_a_closed_aperture_gives_the_photograph():
  inputs = _inputs(record(aperture=0), record())
  np.testing.assert_allclose(inputs['target'][0], inputs['image'][0], atol=1e-5)
  np.testing.assert_array_equal(inputs['defocus'][0], 0)
  # The photograph itself has no defocus.
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])


def test_the_layer_in_focus_is_sharp_and_the_others_are_blurred():
  inputs = _inputs(record())
  difference = np.abs(inputs['target'] - inputs['image'])[0]
  # The front is blurred by 3.2 px over the left part of the middle layer, not over its right part.
  assert difference[:, :7].mean() > 0.05
  np.testing.assert_allclose(difference[:, 17:20], 0, atol=1e-5)


def test_defocus_is_the_signed_blur_radius_over_the_largest():
  """With a steepness of 4 the blur is largest for differences of disparity from 0.25 on."""
  defocus = _inputs(record(), record(aperture=0.5))['defocus']
  np.testing.assert_allclose(thirds(defocus), [[0.4, 0, -0.4], [0.2, 0, -0.2]], atol=1e-5)
  far, near = _inputs(record(focus=1), record(focus=0))['defocus']
  assert np.all(far == -1) and np.all(near == 1)


def test_half_size_inputs_are_means_of_light_and_of_defocus():
  inputs = _inputs(record(), record(focus=0.3))
  decode = lambda name: np.asarray(colour.srgb_to_linear(inputs[name]))  # noqa: E731
  pairs = [(decode(name), decode(f'{name}_low')) for name in ('image', 'target')]
  for high, low in (*pairs, (inputs['defocus'], inputs['defocus_low'])):
    means = high.reshape(2, SIZE // 2, 2, SIZE // 2, 2, -1).mean(axis=(2, 4))
    np.testing.assert_allclose(low, means, atol=1e-5)


@pytest.mark.parametrize('disparity, front', [('corrupted', 0), ('true', 0.4)])
def test_defocus_is_of_the_corrupted_or_of_the_true_disparity(disparity, front):
  observed = record()['observed'].copy()
  observed[0] = 0  # The simulated predictor misses the front.
  inputs = _inputs(record(observed=observed), render__disparity=disparity)
  np.testing.assert_allclose(thirds(inputs['defocus'])[0], [front, 0, -0.4], atol=1e-5)
  np.testing.assert_allclose(thirds(inputs['disparity'])[0], DISPARITY, atol=1e-6)
  np.testing.assert_allclose(inputs['target'], _inputs(record())['target'], atol=1e-6)


def test_highlights_are_brighter_in_the_blur_only():
  layers = record()['layers'].copy()
  layers[2, ..., :3] = 20
  layers[2, :, -12:-8, :3] = 255
  fields = {'disparity': (0.6, 0.5, 0.3), 'layers': layers}
  inputs = _inputs(*(record(**fields, highlight=x) for x in (1, 8)))
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])
  difference = inputs['target'][1] - inputs['target'][0]
  assert difference.min() > -1e-6 and difference.max() > 0.2


def test_metrics_are_of_the_network_the_classical_renderer_and_the_photograph():
  inputs = _inputs(record(), record(focus=0.4))
  scores = jax.device_get(jax.jit(_task().metrics)({'high': inputs['target']}, inputs))
  blurred = scatter.scatter(colour.srgb_to_linear(inputs['image']), 8 * inputs['defocus'], limit=8)
  images = {
    'learned': inputs['target'],
    'classical': colour.linear_to_srgb(jnp.clip(blurred, 0, 1)),
    'input': inputs['image'],
  }
  weights = {'': None, '_edge': metrics_lib.edge_band(inputs['disparity'], radius=8)}
  expected = {
    f'{name}{suffix}/{renderer}': getattr(metrics_lib, name)(image, inputs['target'], weight)
    for name in ('psnr', 'ssim')
    for suffix, weight in weights.items()
    for renderer, image in images.items()
  }
  assert scores.keys() == expected.keys()
  for name, x in expected.items():
    np.testing.assert_allclose(scores[name], x, rtol=1e-3, err_msg=name)
  scores = {name: x.value for name, x in scores.items()}
  np.testing.assert_allclose(scores['psnr/learned'], [100, 100], rtol=1e-5)
  assert np.all(scores['psnr/classical'] > scores['psnr/input'] + 3)
  assert np.all(np.abs(scores['psnr/input'] - scores['psnr_edge/input']) > 0.01)


def _losses(outputs, inputs, **fields):
  return jax.device_get(lensblur.terms(outputs, inputs, tiny.lensblur_config(**fields).loss))


@pytest.mark.parametrize('kind', ['normalised', 'l1'])
def test_the_loss_has_a_term_for_each_resolution(kind):
  inputs = _inputs(record())
  outputs = {'low': inputs['target_low'] + 0.1, 'high': inputs['target'] - 0.2}
  terms = _losses(outputs, inputs, loss__kind=kind, loss__upsampler=3.0)
  assert terms.keys() == {'blur', 'upsampler'}
  np.testing.assert_allclose(terms['blur'], [0.1, 0.1], rtol=1e-4)
  np.testing.assert_allclose(terms['upsampler'], [0.6, 0.6], rtol=1e-4)


def test_the_loss_depends_on_its_fields():
  inputs = _inputs(record())
  noise = np.random.default_rng(0).normal(0, 0.1, inputs['target'].shape).astype(np.float32)
  outputs = {'low': inputs['target_low'], 'high': inputs['target'] + noise}
  fields = ({}, {'loss__kind': 'l1'}, {'loss__alpha': 3.0})
  plain, l1, steep = (_losses(outputs, inputs, **f)['upsampler'][0] for f in fields)
  assert l1 < 0.9 * plain and plain < 0.9 * steep

  def gradient(differentiate):
    loss = tiny.lensblur_config(loss__differentiate_weights=differentiate).loss
    total = lambda x: lensblur.terms({**outputs, 'high': x}, inputs, loss)['upsampler'].sum()  # noqa: E731
    return np.asarray(jax.grad(total)(outputs['high'])) * noise

  assert gradient(False).min() >= 0 and (gradient(True) < 0).mean() > 0.1


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'loss__kind': 'normalized'}, "loss.kind is 'normalized'; it can be 'normalised' or 'l1'"),
    ({'task': 'lensflare'}, "task is 'lensflare'; it can be .*lensblur"),
    ({'data__kind': 'predictions'}, "'predictions'; it must be 'scene' for the task 'lensblur'"),
  ],
)
def test_unknown_names_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _task(**fields)


def test_pictures_are_rows_of_four_in_range():
  inputs = _inputs(record())
  pictures = _task().pictures({'high': 3 * inputs['target'] - 1}, inputs)
  row = np.asarray(pictures.pop('lensblur'))
  assert not pictures and row.shape == (2, SIZE, 4 * SIZE, 3)
  assert row.min() >= 0 and row.max() <= 1
  np.testing.assert_array_equal(row[:, :, :SIZE], inputs['image'])
  np.testing.assert_array_equal(row[:, :, 3 * SIZE :], inputs['target'])
  defocus = thirds(row[:, :, SIZE : 2 * SIZE, 0])
  np.testing.assert_allclose(defocus, [[0.7, 0.5, 0.3]] * 2, atol=1e-4)


def test_training_changes_the_model_state_and_outputs_have_their_shapes():
  task, inputs = _task(), _inputs(record())
  variables = jax.eval_shape(task.init, jax.random.key(0), inputs)
  outputs = jax.eval_shape(task.apply, variables, inputs)
  assert outputs['low'].shape == inputs['target_low'].shape
  assert outputs['high'].shape == inputs['target'].shape
  arguments = {}, inputs, jax.random.key(0), 0
  _, state = jax.eval_shape(task.loss, variables, *arguments)
  assert state == {'batch_stats': variables['batch_stats']}
  jaxpr = jax.make_jaxpr(lambda v: task.loss(v, *arguments)[1])(variables)
  assert not set(map(id, jaxpr.jaxpr.outvars)) & set(map(id, jaxpr.jaxpr.invars))
