"""The task of depth refinement: losses, schedule, metrics and its config."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthjax import tasks
from depthjax.ops import resize
from depthjax.tasks import sddr
from depthjax.tasks.task import Env
from tests import tiny

_SIZE = 128


@functools.cache
def _task(**fields):
  return tasks.make(tiny.sddr_config(**fields), Env())


@functools.cache
def _batch():
  """Two squares on a ramp; a blurred and a noisy prediction, and random ones for the windows."""
  rng = np.random.default_rng(0)
  target = np.tile(np.linspace(0, 0.4, _SIZE, dtype=np.float32), (2, _SIZE, 1))
  target[:, 20:70, 30:90], target[:, 60:110, 80:100] = 0.7, 1.0
  low = jax.image.resize(jax.image.resize(target, (2, 28, 28), 'linear'), target.shape, 'cubic')
  return {
    'target': target[..., None],
    'valid': np.ones((*target.shape, 1), np.float32),
    'low': np.clip(low, 0, 1)[..., None],
    'high': np.clip(target + 0.1 * rng.random(target.shape, np.float32), 0, 1)[..., None],
    'windows': rng.random((2, 4, _SIZE, _SIZE, 1), np.float32),
    'index': np.uint32([0, 1]),
  }


def test_distillation_begins_at_its_step():
  task = _task(loss__start=1, batch_size=2)
  variables = jax.jit(task.init)(jax.random.key(0), _batch())

  @jax.jit
  def loss(step):
    def total(params):
      terms, _ = task.loss({'params': params}, {}, _batch(), jax.random.key(1), step)
      return sum(x.mean() for x in terms.values()), terms

    return jax.grad(total, has_aux=True)(variables['params'])

  for step in (0, 1):
    grads, terms = jax.device_get(loss(step))
    assert terms.keys() == {'truth', 'gradient', 'fusion'}
    assert all(x.shape == (2,) and np.isfinite(x).all() for x in terms.values())
    assert all(np.all((terms[name] > 0) == step) for name in ('gradient', 'fusion'))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(grads))
    assert any(x.any() for x in jax.tree.leaves(grads))


def test_enlarged_maps_give_outputs_of_the_original_size():
  task, plain = _task(model__enlarge=2), _task()
  inputs = {name: _batch()[name][:1, ::2, ::2] for name in ('low', 'high')}
  variables = jax.jit(task.init)(jax.random.key(0), inputs)
  double = {name: jnp.asarray(resize.upsample(x, (_SIZE, _SIZE))) for name, x in inputs.items()}
  expected = jax.jit(lambda x: plain.apply(variables, x))(double)
  found = jax.jit(lambda x: task.apply(variables, x))(inputs)
  assert found['fusion'].shape == (1, 64, 64, 1) and found['mask_half'].shape == (1, 32, 32, 1)
  for name, x in expected.items():
    np.testing.assert_allclose(found[name], resize.downsample(x, 2), atol=1e-5)


def test_without_distillation_there_are_no_pseudo_labels():
  task = _task(loss__gradient=0.0, loss__fusion=0.0)
  inputs = {x: y for x, y in _batch().items() if x != 'windows'}
  shapes = jax.eval_shape(task.init, jax.random.key(0), inputs)
  terms, _ = jax.eval_shape(task.loss, shapes, {}, inputs, jax.random.key(0), 0)
  assert terms.keys() == {'truth'}


def _outputs(fusion):
  sides = {'half': fusion[:, ::2, ::2], 'quarter': fusion[:, ::4, ::4]}
  return {'fusion': fusion, **sides, **{f'mask_{x}': jax.nn.sigmoid(y) for x, y in sides.items()}}


@pytest.mark.parametrize('fields', [{'label': 'disparity'}, {'regions_by': 'strength'}])
def test_other_labels_and_regions_have_a_gradient(fields):
  loss = {**tiny.sddr_config().loss.to_dict(), **fields}
  keys = jax.random.split(jax.random.key(0), 2)

  def total(fusion):
    refine = lambda low, high: high  # noqa: E731
    terms = sddr.distillation(refine, _outputs(fusion), _batch(), keys, levels=1, **loss)
    return sum(x.sum() for x in terms.values())

  value, gradient = jax.jit(jax.value_and_grad(total))(_batch()['low'])
  assert value > 0 and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_the_truth_loss_includes_the_side_outputs():
  batch = _batch()
  right = _outputs(jnp.asarray(batch['target']))
  np.testing.assert_allclose(sddr.truth_loss(right, batch, 0.5), 0, atol=1e-5)
  for name in ('fusion', 'half', 'quarter'):
    wrong = {**right, name: right[name][:, ::-1]}
    assert (np.asarray(sddr.truth_loss(wrong, batch, 0.5)) > 0.1).all()


def test_metrics_are_of_the_aligned_result_and_of_the_low_input():
  batch = _batch()
  metrics = lambda x: {name: y.value for name, y in sddr.metrics({'fusion': x}, batch).items()}  # noqa: E731
  perfect = metrics(5 * batch['target'] - 3)
  for name in ('rmse', 'edge_rmse', 'rel'):
    np.testing.assert_allclose(perfect[name], 0, atol=1e-5)
  same = metrics(batch['low'])
  np.testing.assert_allclose(same['rmse'], same['low_rmse'])
  np.testing.assert_allclose(perfect['low_edge_rmse'], same['edge_rmse'])
  assert (same['edge_rmse'] > 1.5 * same['rmse']).all()


@pytest.mark.parametrize(
  'fields, message',
  [
    ({'data__predictions__window_size': 100}, 'window_size is 100'),
    ({'data__width': 160, 'model__enlarge': 2}, 'width is 160; it must, times model.enlarge=2, be'),
    ({'model__enlarge': 0}, 'model.enlarge is 0'),
    ({'model__network': 'unet'}, "model.network is 'unet'"),
    ({'model__network': 'gbdf'}, 'must be 0 for gbdf'),
    ({'loss__label': 'edges'}, "loss.label is 'edges'; it can be gradient or disparity"),
    ({'loss__chunk': 0}, 'loss.chunk is 0; it must be at least 1'),
    ({'loss__sigma': 0.0}, 'loss.sigma is 0'),
    ({'loss__edges': 5.0}, 'loss.edges is 5'),
    ({'loss__fraction': 0.2}, 'loss.fraction is 0.2 and loss.quantiles 4'),
  ],
)
def test_invalid_fields_are_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    _task(**fields)
