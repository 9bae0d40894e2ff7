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
from depthjax.tasks.task import Env
from tests import tiny

_H = _W = 32
_PAD = 8
_RENDER = {'render__radius': 4, 'render__steepness': 4.0, 'render__band': 8}
_DISPARITY = (0.6, 0.5, 0.45)  # Of front, middle and background.


@functools.cache
def _task(**fields):
  env = Env(lambda function: functools.partial(jax.lax.map, function))
  return tasks.make(tiny.lensblur_config(**{**_RENDER, **fields}), env)


def _record(background=0.45, **fields):
  """Three flat layers of noise: the front on the left third, the middle on the left two thirds."""
  rng = np.random.default_rng(0)
  layers = rng.integers(30, 220, (3, _H + 2 * _PAD, _W + 2 * _PAD, 4), np.uint8)
  column = np.arange(_W + 2 * _PAD) - _PAD
  silhouettes = [column < _W // 3, column < 2 * _W // 3, column < 1000]
  layers[..., 3] = 255 * np.stack(silhouettes)[:, None]
  planes = np.zeros((3, 3), np.float32)
  planes[:, 0] = *_DISPARITY[:2], background
  return {
    'layers': layers,
    'planes': planes,
    'observed': layers[:, _PAD:-_PAD, _PAD:-_PAD, 3],
    'focus': np.float32(0.5),
    'aperture': np.float32(1),
    'blades': np.int32(0),
    'rotation': np.float32(0),
    'highlight': np.float32(1),
    'seed': np.uint32(0),
    **fields,
  }


@functools.cache
def _rendering(**fields):
  return jax.jit(functools.partial(_task(**fields).inputs, {}))


def _inputs(*records, **fields):
  """Rendered examples of two records, or of one twice, so that there is one compilation."""
  records = (records * 2)[:2]
  batch = {name: np.stack([record[name] for record in records]) for name in records[0]}
  return jax.device_get(_rendering(**fields)(batch))


def _columns(x):
  """Means over the three thirds, away from their edges."""
  third = _W // 3
  middles = [slice(i * third + 2, (i + 1) * third - 2) for i in range(3)]
  return [float(x[:, columns].mean()) for columns in middles]


def test_inputs_have_their_shapes_and_ranges():
  white = _record()['layers'] | np.uint8([255, 255, 255, 0])
  inputs = _inputs(_record(), _record(highlight=np.float32(10), layers=white))
  high, low = (2, _H, _W), (2, _H // 2, _W // 2)
  assert {name: x.shape for name, x in inputs.items()} == {
    'image': (*high, 3),
    'target': (*high, 3),
    'defocus': (*high, 1),
    'disparity': (*high, 1),
    'image_low': (*low, 3),
    'target_low': (*low, 3),
    'defocus_low': (*low, 1),
    'focus': (2,),
    'aperture': (2,),
  }
  for name, x in inputs.items():
    assert x.dtype == np.float32 and np.isfinite(x).all()
    assert x.min() >= (-1 if 'defocus' in name else 0) and x.max() <= 1


def test_a_closed_aperture_gives_the_photograph():
  inputs = _inputs(*(_record(aperture=np.float32(a)) for a in (0, 1)))
  np.testing.assert_allclose(inputs['target'][0], inputs['image'][0], atol=1e-5)
  np.testing.assert_array_equal(inputs['defocus'][0], 0)
  assert np.abs(inputs['target'][1] - inputs['image'][1]).max() > 0.1
  # The photograph itself has no defocus.
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])


def test_the_layer_in_focus_is_sharp_and_the_others_are_blurred():
  inputs = _inputs(_record())
  difference = np.abs(inputs['target'] - inputs['image'])[0]
  # The front is blurred by 3.2 px over the left part of the middle layer, not over its right part.
  assert difference[:, :7].mean() > 0.05
  np.testing.assert_allclose(difference[:, 17:20], 0, atol=1e-5)


def test_defocus_is_the_signed_blur_radius_over_the_largest():
  """With a steepness of 4 the blur is largest for differences of disparity from 0.25 on."""
  wide, half = _inputs(_record(), _record(aperture=np.float32(0.5)))['defocus']
  expected = [4 * (d - 0.5) for d in _DISPARITY]
  np.testing.assert_allclose(_columns(wide), expected, atol=1e-5)
  np.testing.assert_allclose(_columns(half), np.multiply(expected, 0.5), atol=1e-5)
  far, near = _inputs(_record(focus=np.float32(1)), _record(focus=np.float32(0)))['defocus']
  assert np.all(far == -1) and np.all(near == 1)


def test_half_size_inputs_are_means_of_light_and_of_defocus():
  inputs = _inputs(_record(), _record(focus=np.float32(0.3)))

  def halved(x):
    return x.reshape(2, _H // 2, 2, _W // 2, 2, -1).mean(axis=(2, 4))

  for name in ('image', 'target'):
    light, low = (np.asarray(colour.srgb_to_linear(inputs[x])) for x in (name, f'{name}_low'))
    np.testing.assert_allclose(low, halved(light), atol=1e-5)
  np.testing.assert_allclose(inputs['defocus_low'], halved(inputs['defocus']), atol=1e-6)


@pytest.mark.parametrize('disparity, front', [('corrupted', 0), ('true', 0.4)])
def test_defocus_is_of_the_corrupted_or_of_the_true_disparity(disparity, front):
  observed = _record()['observed'].copy()
  observed[0] = 0  # The simulated predictor misses the front.
  inputs = _inputs(_record(observed=observed), render__disparity=disparity)
  np.testing.assert_allclose(_columns(inputs['defocus'][0]), [front, 0, -0.2], atol=1e-5)
  np.testing.assert_allclose(_columns(inputs['disparity'][0]), _DISPARITY, atol=1e-6)
  np.testing.assert_allclose(inputs['target'], _inputs(_record())['target'], atol=1e-6)


def test_highlights_are_brighter_in_the_blur_only():
  layers = _record()['layers'].copy()
  layers[2, ..., :3] = 20
  layers[2, :, -12:-8, :3] = 255
  inputs = _inputs(*(_record(0.3, layers=layers, highlight=np.float32(x)) for x in (1, 8)))
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])
  difference = inputs['target'][1] - inputs['target'][0]
  assert difference.min() > -1e-6 and difference.max() > 0.2


@pytest.fixture(scope='module', name='measured')
def fixture_measured():
  """Metrics of a perfect result, and the inputs."""
  task, inputs = _task(), _inputs(_record(), _record(focus=np.float32(0.45)))
  outputs = {'high': inputs['target'], 'low': inputs['target_low']}
  return jax.device_get(jax.jit(task.metrics)(outputs, inputs)), inputs


def test_metrics_are_of_the_network_the_classical_renderer_and_the_photograph(measured):
  scores, _ = measured
  rows = {'psnr', 'ssim', 'psnr_edge', 'ssim_edge'}
  renderers = {'learned', 'classical', 'input'}
  assert scores.keys() == {f'{row}/{renderer}' for row in rows for renderer in renderers}
  assert all(x.shape == (2,) and np.isfinite(x).all() for x in scores.values())
  np.testing.assert_allclose(scores['psnr/learned'], 100, rtol=1e-5)
  np.testing.assert_allclose(scores['ssim_edge/learned'], 1, atol=1e-4)


def test_metrics_of_the_input_are_those_of_the_photograph(measured):
  scores, inputs = measured
  edges = metrics_lib.edge_band(inputs['disparity'], radius=8)
  for name, weight in (('psnr', None), ('psnr_edge', edges)):
    expected = metrics_lib.psnr(inputs['image'], inputs['target'], weight)
    np.testing.assert_allclose(scores[f'{name}/input'], expected, rtol=1e-4)
  assert np.all(np.abs(scores['psnr/input'] - scores['psnr_edge/input']) > 0.01)


def test_metrics_of_the_classical_renderer_use_the_same_defocus(measured):
  scores, inputs = measured
  light = colour.srgb_to_linear(inputs['image'])
  blurred = scatter.scatter(light, 8 * inputs['defocus'], limit=8)
  image = colour.linear_to_srgb(jnp.clip(blurred, 0, 1))
  for name, rtol in (('psnr', 1e-4), ('ssim', 1e-3)):
    expected = getattr(metrics_lib, name)(image, inputs['target'])
    np.testing.assert_allclose(scores[f'{name}/classical'], expected, rtol=rtol)
  assert np.all(scores['psnr/classical'] > scores['psnr/input'] + 3)


def _losses(outputs, inputs, **fields):
  return jax.device_get(lensblur.terms(outputs, inputs, tiny.lensblur_config(**fields).loss))


@pytest.mark.parametrize('kind', ['normalised', 'l1'])
def test_the_loss_has_a_term_for_each_resolution(kind):
  inputs = _inputs(_record())
  outputs = {'low': inputs['target_low'] + 0.1, 'high': inputs['target'] - 0.2}
  terms = _losses(outputs, inputs, loss__kind=kind, loss__upsampler=3.0)
  assert terms.keys() == {'blur', 'upsampler'}
  np.testing.assert_allclose(terms['blur'], [0.1, 0.1], rtol=1e-4)
  np.testing.assert_allclose(terms['upsampler'], [0.6, 0.6], rtol=1e-4)


def test_the_loss_depends_on_its_fields():
  inputs = _inputs(_record())
  noise = np.random.default_rng(0).normal(0, 0.1, inputs['target'].shape).astype(np.float32)
  outputs = {'low': inputs['target_low'], 'high': inputs['target'] + noise}
  fields = ({}, {'loss__kind': 'l1'}, {'loss__alpha': 3.0})
  plain, l1, steep = (_losses(outputs, inputs, **f)['upsampler'][0] for f in fields)
  assert l1 < 0.9 * plain and plain < 0.9 * steep

  def gradient(**fields):
    loss = tiny.lensblur_config(**fields).loss
    total = lambda x: lensblur.terms({**outputs, 'high': x}, inputs, loss)['upsampler'].sum()  # noqa: E731
    return np.sign(np.asarray(jax.grad(total)(outputs['high']))) * np.sign(noise)

  assert gradient().min() >= 0
  assert (gradient(loss__differentiate_weights=True) < 0).mean() > 0.1


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
  inputs = _inputs(_record())
  pictures = _task().pictures({'high': 3 * inputs['target'] - 1}, inputs)
  row = np.asarray(pictures.pop('lensblur'))
  assert not pictures and row.shape == (2, _H, 4 * _W, 3)
  assert row.min() >= 0 and row.max() <= 1
  np.testing.assert_array_equal(row[:, :, :_W], inputs['image'])
  np.testing.assert_array_equal(row[:, :, 3 * _W :], inputs['target'])
  np.testing.assert_allclose(_columns(row[0, :, _W : 2 * _W]), [0.7, 0.5, 0.4], atol=1e-4)


def test_training_changes_the_model_state_and_outputs_have_their_shapes():
  task, inputs = _task(), _inputs(_record())
  variables = jax.eval_shape(task.init, jax.random.key(0), inputs)
  outputs = jax.eval_shape(task.apply, variables, inputs)
  assert outputs['low'].shape == inputs['target_low'].shape
  assert outputs['high'].shape == inputs['target'].shape
  arguments = {}, inputs, jax.random.key(0), 0
  _, state = jax.eval_shape(task.loss, variables, *arguments)
  assert state == {'batch_stats': variables['batch_stats']}
  jaxpr = jax.make_jaxpr(lambda v: task.loss(v, *arguments)[1])(variables)
  assert not set(map(id, jaxpr.jaxpr.outvars)) & set(map(id, jaxpr.jaxpr.invars))
