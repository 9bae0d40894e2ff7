"""One device, eight devices, FSDP and pmap train the same."""

import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, parallel
from depthjax.train import experiment as experiment_lib
from tests import tiny

_STEPS = 3


@functools.cache
def _trained(config=tiny.config, **fields):
  """Losses of a few steps, the final state on the host, and the experiment."""
  config = config(**fields)
  experiment = experiment_lib.build(config)
  state = experiment.runner.init(experiment_lib.seed_key(config.seed))
  batches, losses = experiment.batches('train', 0), []
  for _ in range(_STEPS):
    batch = experiment.runner.put(next(batches))
    state, scalars = experiment.runner.step(state, experiment.frozen(), experiment.hyper, batch)
    losses.append(jax.device_get(scalars))
  return losses, jax.device_get(state), state, experiment


_MODES = {'eight': {}, 'fsdp': {'parallel__fsdp': 4}, 'pmap': {'parallel__mode': 'pmap'}}


@pytest.mark.parametrize('mode', _MODES)
def test_every_mode_trains_like_one_device(mode):
  """Adam divides by the root of tiny second moments, so parameters agree only to its step size."""
  one, state_one, _, _ = _trained(parallel__devices=1)
  other, state_other, _, _ = _trained(**_MODES[mode])
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-3), other, one)
  close = functools.partial(np.testing.assert_allclose, rtol=2e-2, atol=2e-3)
  jax.tree.map(close, state_other.model_state, state_one.model_state)
  jax.tree.map(close, state_other.params, state_one.params)
  assert one[0]['loss'] != one[-1]['loss']


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['fsdp', 'pmap'])
@pytest.mark.parametrize('config', [tiny.lensblur_config, tiny.depth_config])
def test_larger_networks_train_like_on_one_device(config, mode):
  """Includes dropout, whose keys depend on the number of the example."""
  one, *_ = _trained(config, parallel__devices=1)
  other, *_ = _trained(config, **_MODES[mode])
  for name, value in one[0].items():
    np.testing.assert_allclose(other[0][name], value, rtol=1e-3, err_msg=name)
  for a, b in zip(one, other, strict=True):
    np.testing.assert_allclose(b['loss'], a['loss'], rtol=2e-2)
  assert len({float(scalars['loss']) for scalars in one}) == _STEPS


@pytest.mark.slow
def test_frozen_layers_with_batch_renormalisation_do_not_change():
  """Under pmap and with microbatches."""
  experiment = experiment_lib.build(
    tiny.config(
      parallel__mode='pmap',
      parallel__devices=4,
      microbatches=2,
      optimizer__learning_rate_factors=(('down', 0.0), ('.*', 1.0)),
    )
  )
  start = jax.device_get(experiment.runner.init(experiment_lib.seed_key(0)))
  noise = lambda x: x + np.random.default_rng(0).uniform(0, 0.1, x.shape).astype('f4')  # noqa: E731
  statistics = jax.tree.map(noise, start.model_state)
  start = start.replace(model_state=statistics, ema={'params': start.params, **statistics})
  state, batches = start, experiment.batches('train', 0)
  for _ in range(2):
    batch = experiment.runner.put(next(batches))
    state, _ = experiment.runner.step(state, {}, experiment.hyper, batch)
  before, after = (
    {jax.tree_util.keystr(path): x for path, x in jax.tree_util.tree_leaves_with_path(part)}
    for part in ((x.params, x.model_state, x.ema) for x in (start, jax.device_get(state)))
  )
  frozen = {name for name in before if 'down' in name}
  same = {name for name in before if np.array_equal(before[name], after[name])}
  assert frozen and any('mean' in name for name in frozen) and frozen <= same
  assert any('batch_stats' in name for name in before.keys() - same)


def test_fsdp_splits_parameters_and_moments():
  _, _, state, _ = _trained(**_MODES['fsdp'])
  kernel = state.params['down1']['conv']['kernel']
  assert not kernel.sharding.is_fully_replicated
  moments = [x for x in jax.tree.leaves(state.opt) if getattr(x, 'shape', None) == kernel.shape]
  assert moments and not any(x.sharding.is_fully_replicated for x in moments)


def test_metrics_are_equal_in_every_mode():
  _, one, *_ = _trained(parallel__devices=1)
  results = []
  for fields in ({'parallel__devices': 1}, _MODES['eight'], _MODES['pmap']):
    _, _, state, experiment = _trained(**fields)
    batch = experiment.runner.put(next(experiment.batches('val', 0)))
    state = jax.tree.map(lambda x, like: jax.device_put(x, like.sharding), one, state)
    scores, index = jax.device_get(experiment.evaluate(state, experiment.frozen(), batch))
    np.testing.assert_array_equal(index, range(8))
    results.append({name: x.value for name, x in scores.items()})
  for other in results[1:]:
    assert other.keys() == results[0].keys()
    for name, value in results[0].items():
      assert value.shape == (8,)
      # Rounding decides whether a pixel belongs to an edge.
      tolerance = {'rtol': 5e-3 if 'edge' in name else 1e-3, 'atol': 1e-4}
      np.testing.assert_allclose(other[name], value, **tolerance, err_msg=name)


def test_shardings_follow_the_first_matching_layout():
  mesh = parallel.make_mesh(4)
  shapes = {'kernel': (3, 8, 6), 'bias': (8,), 'odd': (7,), 'scalar': (), 'small': (4,)}
  tree = {name: jax.ShapeDtypeStruct(shape, 'float32') for name, shape in shapes.items()}
  layouts = (('bias$', 'replicated'), ('.*', 'fsdp'))
  found = parallel.state_shardings(tree, layouts, mesh, min_size=5)
  assert found['kernel'].shard_shape((3, 8, 6)) == (3, 2, 6)
  assert all(found[name].is_fully_replicated for name in shapes if name != 'kernel')
  with pytest.raises(configuring.ConfigError, match="no rule matches 'kernel'"):
    parallel.state_shardings(tree, layouts[:1], mesh)
