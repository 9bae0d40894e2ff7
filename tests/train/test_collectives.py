"""Collectives of the compiled step, and the mesh over TPU slices."""

import collections
import contextlib
import functools

import jax
import numpy as np
import pytest

from depthjax import configuring, parallel
from depthjax.plan import costs, program
from depthjax.train import experiment as experiment_lib
from tests import tiny


@functools.cache
def _step(config=tiny.config, **fields):
  """Collectives of the compiled step by kind, and the abstract state."""
  experiment = experiment_lib.build(config(**fields))
  batch = experiment.runner.put(next(experiment.batches('train', 0)))
  runner = experiment.runner
  text = runner.step.lower(runner.abstract, runner.frozen, batch).compile().as_text()
  kinds = collections.defaultdict(list)
  for one in costs.costs(program.parse(text), jax.device_count()).collectives:
    kinds[one.kind].append(one)
  return kinds, experiment.runner.abstract


def test_data_parallelism_uses_only_all_reduces():
  kinds, state = _step()
  assert set(kinds) == {'all-reduce'}
  summed = sum(one.operand_bytes for one in kinds['all-reduce'])
  assert summed >= sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params))


@pytest.mark.slow
def test_the_two_streams_of_a_refinement_network_need_no_other_collectives():
  """Concatenating them along the batch would move all examples; so would jnp.pad's mode 'edge'."""
  kinds, state = _step(tiny.sddr_config)
  assert set(kinds) == {'all-reduce'}
  assert sum(one.operand_bytes for one in kinds['all-reduce']) >= sum(
    x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params)
  )


def test_fsdp_all_gathers_each_split_parameter_once():
  kinds, state = _step(parallel__fsdp=4)
  assert set(kinds) <= {'all-reduce', 'all-gather', 'reduce-scatter'}
  split = [x for x in jax.tree.leaves(state.params) if not x.sharding.is_fully_replicated]
  sizes = collections.Counter(x.size * x.dtype.itemsize for x in split)
  assert len(split) > 3
  assert collections.Counter(one.result_bytes for one in kinds['all-gather']) == sizes
  # Over the fsdp axis, not over the data axis.
  assert {one.groups.shape for one in kinds['all-gather']} == {(2, 4)}


def test_evaluation_under_fsdp_all_gathers_only_the_averaged_variables():
  experiment = experiment_lib.build(tiny.config(parallel__fsdp=4))
  batch = experiment.runner.put(next(experiment.batches('val', 0)))
  compiled = experiment.evaluate.lower(experiment.runner.abstract, {}, batch).compile()
  found = costs.costs(program.parse(compiled.as_text()), jax.device_count()).collectives
  gathered = sum(
    one.result_bytes for one in found if one.kind == 'all-gather' and one.result_bytes >= 256
  )
  ema = jax.tree.leaves(experiment.runner.abstract.ema)
  split = [x.size * x.dtype.itemsize for x in ema if not x.sharding.is_fully_replicated]
  assert gathered <= sum(split) + 8 * 4 * len(found)


@pytest.mark.parametrize('fields', [{}, {'parallel__fsdp': 4}], ids=str)
def test_a_step_keeps_the_shardings_of_the_state(fields):
  """The compiled step accepts only these, so no array moves between steps."""
  experiment = experiment_lib.build(tiny.config(**fields))
  state = experiment.runner.init(experiment_lib.seed_key(0))
  with contextlib.closing(experiment.feed(0)) as feed:
    batch = next(feed)
    compiled = experiment.runner.step.lower(state, {}, batch).compile()
    with jax.transfer_guard('disallow'):
      for _ in range(2):
        state, _ = compiled(state, {}, batch)
  jax.tree.map(
    lambda x, a: x.sharding.is_equivalent_to(a.sharding, x.ndim) or pytest.fail(str(x.sharding)),
    state,
    experiment.runner.abstract,
  )


class _Chip:
  """A device with a slice index."""

  device_kind = platform = 'none'

  def __init__(self, number, slice_index):
    self.id, self.slice_index, self.process_index = number, slice_index, slice_index


@pytest.mark.parametrize('fsdp', [1, 2, 4])
def test_the_fsdp_axis_stays_within_a_slice(fsdp):
  chips = [_Chip(i, i % 2) for i in range(8)]
  devices = parallel.make_mesh(fsdp, chips).devices
  assert devices.shape == (8 // fsdp, fsdp)
  slices = np.vectorize(lambda chip: chip.slice_index)(devices)
  assert all(len(set(row)) == 1 for row in slices)
  assert sorted(chip.id for chip in devices.flat) == list(range(8))
  # Along the data axis, all devices of a slice precede those of the next.
  assert (np.diff(slices[:, 0]) != 0).sum() == 1


@pytest.mark.parametrize(
  'count, fsdp, message',
  [(8, 8, 'fsdp is 8; it must divide the 4 chips'), (6, 1, 'parallel.devices selects parts of')],
)
def test_meshes_that_do_not_fit_the_slices_are_refused(count, fsdp, message):
  with pytest.raises(configuring.ConfigError, match=message):
    parallel.make_mesh(fsdp, [_Chip(i, i // 4) for i in range(count)])
