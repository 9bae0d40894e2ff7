"""What devices send each other in a step, read off the compiled program."""

import collections
import contextlib
import functools
import math

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


def test_data_parallel_sums_gradients_and_gathers_nothing():
  kinds, state = _step()
  assert set(kinds) == {'all-reduce'}
  summed = sum(one.operand_bytes for one in kinds['all-reduce'])
  assert summed >= sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params))


@pytest.mark.slow
def test_both_streams_of_a_refinement_network_stay_on_the_device_of_their_example():
  """Joined one behind the other all would cross; so would what jnp.pad continues as 'edge'."""
  kinds, state = _step(tiny.sddr_config)
  assert set(kinds) == {'all-reduce'}
  assert sum(one.operand_bytes for one in kinds['all-reduce']) >= sum(
    x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params)
  )


def test_fsdp_gathers_every_split_parameter_once_and_nothing_else():
  kinds, state = _step(parallel__fsdp=4)
  assert set(kinds) <= {'all-reduce', 'all-gather', 'reduce-scatter'}
  split = [x for x in jax.tree.leaves(state.params) if not x.sharding.is_fully_replicated]
  sizes = collections.Counter(x.size * x.dtype.itemsize for x in split)
  assert len(split) > 3
  assert collections.Counter(one.result_bytes for one in kinds['all-gather']) == sizes
  # Among the four that share a parameter, not across the data axis.
  assert {one.groups.shape for one in kinds['all-gather']} == {(2, 4)}


def test_an_evaluation_under_fsdp_gathers_the_average_alone():
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
def test_the_compiled_step_takes_its_own_state_again(fields):
  """Compiled once for given layouts, it refuses others: so nothing is moved between steps."""
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
  """A device as far as meshes care: it belongs to a slice."""

  device_kind = platform = 'none'

  def __init__(self, number, slice_index):
    self.id, self.slice_index, self.process_index = number, slice_index, slice_index


@pytest.mark.parametrize('fsdp', [1, 2, 4])
def test_over_slices_parameters_are_gathered_within_a_slice(fsdp):
  chips = [_Chip(i, i % 2) for i in range(8)]  # In turn of one slice and the other.
  devices = parallel.make_mesh(fsdp, chips).devices
  assert devices.shape == (8 // fsdp, fsdp)
  slices = np.vectorize(lambda chip: chip.slice_index)(devices)
  assert all(len(set(row)) == 1 for row in slices)
  assert sorted(chip.id for chip in devices.flat) == list(range(8))
  # Whole slices follow each other along the data axis.
  assert (np.diff(slices[:, 0]) != 0).sum() == 1


def test_parameters_cannot_be_split_over_slices():
  with pytest.raises(configuring.ConfigError, match='must divide the 4 chips of a slice'):
    parallel.make_mesh(8, [_Chip(i, i // 4) for i in range(8)])


def test_slices_are_taken_whole():
  with pytest.raises(configuring.ConfigError, match='parallel.devices takes parts of slices'):
    parallel.make_mesh(1, [_Chip(i, i // 4) for i in range(6)])


def test_small_arrays_are_never_split():
  mesh = parallel.make_mesh(4)
  abstract = {
    'a': jax.ShapeDtypeStruct((8, 8), 'float32'),
    'b': jax.ShapeDtypeStruct((4,), 'int32'),
  }
  shardings = parallel.state_shardings(abstract, (('.*', 'fsdp'),), mesh, min_size=64)
  assert shardings['b'].is_fully_replicated
  assert math.prod(shardings['a'].shard_shape((8, 8))) == 16
