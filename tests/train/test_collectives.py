"""Collectives of the compiled step, and the mesh over TPU slices."""

import collections
import contextlib
from unittest import mock

import jax
import numpy as np
import pytest

from depthjax import configuring, parallel
from depthjax.plan import costs, program
from depthjax.train import experiment as experiment_lib
from tests import tiny


def _collectives(config, name='step'):
  """Collectives of the compiled step or evaluation by kind, and the abstract state."""
  experiment = experiment_lib.build(config)
  runner, batch = experiment.runner, experiment_lib.placeholder_batch(config)
  if name == 'step':
    lowered = runner.step.lower(runner.abstract, runner.frozen, experiment.hyper, batch)
  else:
    lowered = experiment.evaluate.lower(runner.abstract, runner.frozen, batch)
  text = lowered.compile().as_text()
  kinds = collections.defaultdict(list)
  for one in costs.costs(program.parse(text), jax.device_count()).collectives:
    kinds[one.kind].append(one)
  return kinds, runner.abstract


def _split_sizes(tree):
  """The bytes of each array that is not replicated."""
  arrays = [x for x in jax.tree.leaves(tree) if not x.sharding.is_fully_replicated]
  return [x.size * x.dtype.itemsize for x in arrays]


@pytest.mark.parametrize(
  'config', [tiny.config, pytest.param(tiny.sddr_config, marks=pytest.mark.slow)]
)
def test_data_parallelism_uses_only_all_reduces(config):
  """Of the two streams of refinement, a concatenation or jnp.pad's mode 'edge' would use others."""
  kinds, state = _collectives(config())
  assert set(kinds) == {'all-reduce'}
  summed = sum(one.operand_bytes for one in kinds['all-reduce'])
  assert summed >= sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params))


def test_fsdp_all_gathers_each_split_parameter_once():
  kinds, state = _collectives(tiny.config(parallel__fsdp=4))
  assert set(kinds) <= {'all-reduce', 'all-gather', 'reduce-scatter'}
  sizes = _split_sizes(state.params)
  assert len(sizes) > 3
  assert sorted(one.result_bytes for one in kinds['all-gather']) == sorted(sizes)
  # Over the fsdp axis, not over the data axis.
  assert {one.groups.shape for one in kinds['all-gather']} == {(2, 4)}


def test_evaluation_under_fsdp_all_gathers_only_the_averaged_variables():
  kinds, state = _collectives(tiny.config(parallel__fsdp=4), 'evaluate')
  sizes = [one.result_bytes for one in kinds['all-gather']]
  metrics = 8 * 4 * sum(map(len, kinds.values()))  # A float32 of each example.
  assert sum(size for size in sizes if size >= 256) <= sum(_split_sizes(state.ema)) + metrics


@pytest.mark.parametrize('fields', [{}, {'parallel__fsdp': 4}], ids=str)
def test_a_step_keeps_the_shardings_of_the_state(fields):
  """The compiled step accepts only these, so no array moves between steps."""
  experiment = experiment_lib.build(tiny.config(**fields))
  state = experiment.runner.init(experiment_lib.seed_key(0))
  with contextlib.closing(experiment.feed(0)) as feed:
    batch = next(feed)
    hyper = experiment.runner.replicate(experiment.hyper)
    compiled = experiment.runner.step.lower(state, {}, hyper, batch).compile()
    with jax.transfer_guard('disallow'):
      for _ in range(2):
        state, _ = compiled(state, {}, hyper, batch)
  same = lambda x, a: x.sharding.is_equivalent_to(a.sharding, x.ndim)  # noqa: E731
  assert jax.tree.all(jax.tree.map(same, state, experiment.runner.abstract))


def _chip(number, index):
  """A device of a slice."""
  named = {'device_kind': 'none', 'platform': 'none'}
  return mock.Mock(id=number, slice_index=index, process_index=index, **named)


@pytest.mark.parametrize('fsdp', [1, 2, 4])
def test_the_fsdp_axis_stays_within_a_slice(fsdp):
  chips = [_chip(i, i % 2) for i in range(8)]
  devices = parallel.make_mesh(fsdp, chips).devices
  assert devices.shape == (8 // fsdp, fsdp)
  slices = np.vectorize(lambda chip: chip.slice_index)(devices)
  assert all(len(set(row)) == 1 for row in slices)
  assert sorted(chip.id for chip in devices.flat) == list(range(8))
  # Along the data axis, all devices of a slice precede those of the next.
  assert (np.diff(slices[:, 0]) != 0).sum() == 1


def test_meshes_that_do_not_fit_the_slices_are_refused():
  chips = [_chip(i, i // 4) for i in range(8)]
  with pytest.raises(configuring.ConfigError, match='fsdp is 8; it must divide the 4 chips'):
    parallel.make_mesh(8, chips)
  with pytest.raises(configuring.ConfigError, match='parallel.devices selects parts of'):
    parallel.make_mesh(1, chips[:6])
