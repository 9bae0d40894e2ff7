"""The lens blur's inputs, loss, metrics and pictures, on scenes drawn by hand."""

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
_DISPARITY = (0.6, 0.5, 0.45)  # Of the front, the middle and the background.


def _each(function):
  return functools.partial(jax.lax.map, function)


@functools.cache
def _task(**fields):
  return tasks.make(tiny.lensblur_config(**{**_RENDER, **fields}), Env(_each))


def _record(**fields):
  """Three flat layers of noise, the front on the left third, the middle on the left two thirds."""
  rng = np.random.default_rng(0)
  layers = rng.integers(30, 220, (3, _H + 2 * _PAD, _W + 2 * _PAD, 4), np.uint8)
  column = np.arange(_W + 2 * _PAD) - _PAD
  silhouettes = [column < _W // 3, column < 2 * _W // 3, column < 1000]
  layers[..., 3] = 255 * np.stack(silhouettes)[:, None]
  planes = np.zeros((3, 3), np.float32)
  planes[:, 0] = _DISPARITY
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
  """Rendered examples of records, two of them wherever a test needs but one: one compilation."""
  records = (records * 2)[:2] if len(records) < 2 else records
  batch = {name: np.stack([record[name] for record in records]) for name in records[0]}
  return jax.device_get(_rendering(**fields)(batch))


def _columns(defocus):
  """Mean defocus of the three thirds, away from their borders."""
  third = _W // 3
  middles = [slice(i * third + 2, (i + 1) * third - 2) for i in range(3)]
  return [float(defocus[:, columns].mean()) for columns in middles]


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
  closed, wide = (_record(aperture=np.float32(a)) for a in (0, 1))
  inputs = _inputs(closed, wide)
  np.testing.assert_allclose(inputs['target'][0], inputs['image'][0], atol=1e-5)
  np.testing.assert_array_equal(inputs['defocus'][0], 0)
  assert np.abs(inputs['target'][1] - inputs['image'][1]).max() > 0.1
  # In the photograph itself everything is in focus, whatever the lens.
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])


def test_the_layer_in_focus_stays_sharp_and_the_others_blur():
  inputs = _inputs(_record())
  difference = np.abs(inputs['target'] - inputs['image'])[0]
  # The front blurs 3.2 px over the middle's left side; its right side is its own.
  assert difference[:, :7].mean() > 0.05
  np.testing.assert_allclose(difference[:, 17:20], 0, atol=1e-5)


def test_defocus_is_the_signed_blur_radius_over_the_largest():
  """A steepness of 4: the largest blur a quarter of the range away from the focus, and beyond."""
  wide, half = _inputs(_record(), _record(aperture=np.float32(0.5)))['defocus']
  expected = [4 * (d - 0.5) for d in _DISPARITY]
  np.testing.assert_allclose(_columns(wide), expected, atol=1e-5)
  np.testing.assert_allclose(_columns(half), np.multiply(expected, 0.5), atol=1e-5)
  far, near = _inputs(_record(focus=np.float32(1)), _record(focus=np.float32(0)))['defocus']
  assert np.all(far == -1) and np.all(near == 1)


def test_half_size_is_a_mean_of_light():
  inputs = _inputs(_record(), _record(focus=np.float32(0.3)))
  for name in ('image', 'target'):
    light = np.asarray(colour.srgb_to_linear(inputs[name]))
    means = light.reshape(2, _H // 2, 2, _W // 2, 2, 3).mean(axis=(2, 4))
    low = np.asarray(colour.srgb_to_linear(inputs[f'{name}_low']))
    np.testing.assert_allclose(low, means, atol=1e-5)
  blocks = inputs['defocus'].reshape(2, _H // 2, 2, _W // 2, 2, 1)
  np.testing.assert_allclose(inputs['defocus_low'], blocks.mean(axis=(2, 4)), atol=1e-6)


def test_the_predictor_sees_the_observed_silhouettes_and_may_be_told_the_true_ones():
  observed = _record()['observed'].copy()
  observed[0] = 0  # The front is not seen at all.
  record = _record(observed=observed)
  seen, true = (_inputs(record, render__disparity=d) for d in ('corrupted', 'true'))
  columns = _columns(seen['defocus'][0])
  np.testing.assert_allclose(columns, [0, 0, -0.2], atol=1e-5)
  np.testing.assert_allclose(_columns(true['defocus'][0]), [0.4, 0, -0.2], atol=1e-5)
  for inputs in (seen, true):
    disparity = _columns(inputs['disparity'][0])
    np.testing.assert_allclose(disparity, _DISPARITY, atol=1e-6)
  np.testing.assert_array_equal(seen['target'], true['target'])


def test_clipped_lights_shine_through_the_blur():
  layers = _record()['layers'].copy()
  layers[2, ..., :3] = 20
  layers[2, :, -12:-8, :3] = 255
  plain, shining = (_record(layers=layers, highlight=np.float32(g), planes=_far()) for g in (1, 8))
  inputs = _inputs(plain, shining)
  np.testing.assert_array_equal(inputs['image'][0], inputs['image'][1])
  difference = inputs['target'][1] - inputs['target'][0]
  assert difference.min() > -1e-6 and difference.max() > 0.2


def _far():
  planes = _record()['planes'].copy()
  planes[2, 0] = 0.3
  return planes


@functools.cache
def _measured():
  """Metrics of what a perfect network would give, and the inputs."""
  task, inputs = _task(), _inputs(_record(), _record(focus=np.float32(0.45)))
  outputs = {'high': inputs['target'], 'low': inputs['target_low']}
  return jax.device_get(jax.jit(task.metrics)(outputs, inputs)), inputs


def test_metrics_have_a_row_for_each_way_to_render():
  scores, _ = _measured()
  rows = {'psnr', 'ssim', 'psnr_edge', 'ssim_edge'}
  ways = {'learned', 'classical', 'input'}
  assert scores.keys() == {f'{row}/{way}' for row in rows for way in ways}
  assert all(x.shape == (2,) and np.isfinite(x).all() for x in scores.values())
  np.testing.assert_allclose(scores['psnr/learned'], 100, rtol=1e-5)
  np.testing.assert_allclose(scores['ssim_edge/learned'], 1, atol=1e-4)


def test_the_row_input_is_the_photograph_as_it_is():
  scores, inputs = _measured()
  edges = metrics_lib.edge_band(inputs['disparity'], radius=8)
  for name, weight in (('psnr', None), ('psnr_edge', edges)):
    expected = metrics_lib.psnr(inputs['image'], inputs['target'], weight)
    np.testing.assert_allclose(scores[f'{name}/input'], expected, rtol=1e-4)
  assert np.all(np.abs(scores['psnr/input'] - scores['psnr_edge/input']) > 0.01)


def test_the_row_classical_is_the_renderer_of_single_images():
  """In linear light, with the blur radii that the networks are told of."""
  scores, inputs = _measured()
  light = colour.srgb_to_linear(inputs['image'])
  blurred = scatter.scatter(light, 8 * inputs['defocus'], limit=8)
  image = colour.linear_to_srgb(jnp.clip(blurred, 0, 1))
  np.testing.assert_allclose(
    scores['psnr/classical'], metrics_lib.psnr(image, inputs['target']), rtol=1e-4
  )
  np.testing.assert_allclose(
    scores['ssim/classical'], metrics_lib.ssim(image, inputs['target']), rtol=1e-3
  )
  assert np.all(scores['psnr/classical'] > scores['psnr/input'] + 3)


def _losses(outputs, inputs, **fields):
  return jax.device_get(lensblur.terms(outputs, inputs, tiny.lensblur_config(**fields).loss))


def test_the_loss_has_a_term_for_each_resolution():
  inputs = _inputs(_record(), _record())
  outputs = {'low': inputs['target_low'] + 0.1, 'high': inputs['target'] - 0.2}
  for kind in ('normalised', 'l1'):
    terms = _losses(outputs, inputs, loss__kind=kind, loss__upsampler=3.0)
    assert terms.keys() == {'blur', 'upsampler'}
    np.testing.assert_allclose(terms['blur'], [0.1, 0.1], rtol=1e-4)
    np.testing.assert_allclose(terms['upsampler'], [0.6, 0.6], rtol=1e-4)


def test_the_fields_of_the_loss_reach_it():
  inputs = _inputs(_record(), _record())
  noise = np.random.default_rng(0).normal(0, 0.1, inputs['target'].shape).astype(np.float32)
  outputs = {'low': inputs['target_low'], 'high': inputs['target'] + noise}
  fields = ({}, {'loss__kind': 'l1'}, {'loss__alpha': 3.0})
  plain, l1, steep = (_losses(outputs, inputs, **f)['upsampler'][0] for f in fields)
  assert l1 < 0.9 * plain and plain < 0.9 * steep
  grads = [
    jax.grad(
      lambda x, f=f: lensblur.terms({**outputs, 'high': x}, inputs, tiny.lensblur_config(**f).loss)[
        'upsampler'
      ].sum()
    )(outputs['high'])
    for f in ({}, {'loss__differentiate_weights': True})
  ]
  signs = [np.sign(np.asarray(g)) * np.sign(noise) for g in grads]
  assert signs[0].min() >= 0 and (signs[1] < 0).mean() > 0.1


def test_a_misspelt_loss_is_refused_before_anything_runs():
  with pytest.raises(ValueError, match="loss.kind is 'normalized'; 'normalised' or 'l1'"):
    _task(loss__kind='normalized')
  with pytest.raises(ValueError, match="task is 'lensflare'; there are .*lensblur"):
    _task(task='lensflare')
  with pytest.raises(ValueError, match="'predictions'; the task 'lensblur' learns from 'scene'"):
    _task(data__kind='predictions')


def test_pictures_are_rows_of_four_in_range():
  inputs = _inputs(_record())
  outputs = {'high': 3 * inputs['target'] - 1}
  pictures = _task().pictures(outputs, inputs)
  row = np.asarray(pictures.pop('lensblur'))
  assert not pictures and row.shape == (2, _H, 4 * _W, 3)
  assert row.min() >= 0 and row.max() <= 1
  np.testing.assert_array_equal(row[:, :, :_W], inputs['image'])
  np.testing.assert_array_equal(row[:, :, 3 * _W :], inputs['target'])
  np.testing.assert_allclose(_columns(row[0, :, _W : 2 * _W]), [0.7, 0.5, 0.4], atol=1e-4)


def test_the_model_state_changes_in_training_and_outputs_have_their_shapes():
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
