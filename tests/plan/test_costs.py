"""Traffic, loops and collectives of compiled programs against their known values."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from depthjax.plan import collectives, costs, loops, program

_SIDE = 64
_BYTES = 4 * _SIDE * _SIDE
_SPLIT = PartitionSpec('x')


def _costs(function, *args, devices=1, **options):
  text = jax.jit(function, **options).lower(*args).compile().as_text()
  return costs.costs(program.parse(text), devices)


def _per_device(function, out=_SPLIT):
  """The function of one element of an array that is split over 8 devices."""
  mesh = jax.make_mesh((8,), ('x',), (AxisType.Auto,))
  return jax.shard_map(function, mesh=mesh, in_specs=_SPLIT, out_specs=out, check_vma=False)


def _square():
  return jnp.ones((_SIDE, _SIDE))


def test_fusion_reads_operands_and_writes_result():
  found = _costs(lambda a, b: jnp.sin(a) * b + 1, _square(), _square())
  assert found.traffic == 3 * _BYTES and not found.collectives and found.cycles is None


def test_only_the_slice_of_an_operand_is_read():
  stack = jnp.ones((100, _SIDE, _SIDE))
  found = _costs(lambda a, i: jnp.sin(jax.lax.dynamic_index_in_dim(a, i, keepdims=False)), stack, 3)
  assert 2 * _BYTES <= found.traffic < 3 * _BYTES


def test_loop_counts_once_per_iteration():
  def scan(length):
    body = lambda carry, row: (jnp.sin(carry @ carry) * row, carry[0])  # noqa: E731
    return lambda x, rows: jax.lax.scan(body, x, rows, length=length)

  found = [_costs(scan(length), _square(), jnp.ones(length)) for length in (1, 10, 19)]
  assert all(one.unknown_loops == 0 for one in found)
  nine = found[2].traffic - found[1].traffic
  assert nine >= 9 * 2 * _BYTES
  # Instructions outside of the loop count once.
  np.testing.assert_allclose(found[1].traffic, nine / 9 * 10, rtol=0.35)


def test_stacked_results_of_a_loop_are_written_once():
  def stacks(x, rows):
    return jax.lax.scan(lambda c, row: (c + row, (jnp.sin(c) * row, jnp.cos(c) + row)), x, rows)[1]

  found = _costs(stacks, _square(), jnp.ones((50, _SIDE, _SIDE)))
  # An iteration reads its row and the carry, and writes the carry and two rows, not all fifty.
  assert 50 * 4 * _BYTES <= found.traffic < 50 * 20 * _BYTES


def test_scatter_touches_only_updated_elements():
  adds = lambda x, i, v: x.at[i].add(v)  # noqa: E731
  x = jnp.ones((1000, _SIDE, _SIDE))
  found = _costs(adds, x, jnp.array([1, 7]), jnp.ones((2, _SIDE, _SIDE)), donate_argnums=0)
  assert found.traffic < 30 * _BYTES


@pytest.mark.parametrize('start, stop, step', [(0, 12, 1), (10, 20, 2), (3, 10, 4), (5, 5, 1)])
def test_trip_count_follows_from_start_bound_and_step(start, stop, step):
  def loop(x):
    body = lambda carry: (carry[0] + step, jnp.sin(carry[1] @ carry[1]))  # noqa: E731
    return jax.lax.while_loop(lambda carry: carry[0] < stop, body, (jnp.int32(start), x))[1]

  text = jax.jit(loop).lower(_square()).compile().as_text()
  parsed = program.parse(re.sub(r'"known_trip_count":\{"n":"\d+"\},?', '', text))
  whiles = [(i, b) for b in parsed.computations.values() for i in b.values() if i.opcode == 'while']
  counts = [loops.trip_count(parsed, i, b) for i, b in whiles]
  # The compiler may remove a loop without iterations.
  assert counts == [len(range(start, stop, step))] or not counts and start == stop


def test_data_dependent_loops_are_reported_as_unknown():
  step = lambda x, n: jax.lax.while_loop(lambda c: c < 20, lambda c: c + n, x)  # noqa: E731
  halve = lambda x: jax.lax.while_loop(lambda x: x.sum() > 1, lambda x: x / 2, x)  # noqa: E731
  assert _costs(step, 0, 3).unknown_loops == 1
  assert _costs(halve, _square()).unknown_loops == 1


def test_gather_elements_are_counted():
  found = _costs(lambda x, i: jnp.sin(x[i]), jnp.ones((100, 3)), jnp.array([5, 2, 99, 0]))
  assert found.gather_elements == 4 * 3 and _costs(jnp.sin, _square()).gather_elements == 0


def test_sum_over_devices_has_size_and_groups():
  x = jnp.ones((8, _SIDE, _SIDE))
  total = _per_device(lambda x: jax.lax.psum(x[0], 'x'), PartitionSpec())
  scattered = _per_device(lambda x: jax.lax.psum_scatter(x[0], 'x', tiled=True))
  (one,), (part,) = (_costs(f, x, devices=8).collectives for f in (total, scattered))
  assert one[:4] == ('all-reduce', _BYTES, _BYTES, 1)
  assert part[:4] == ('reduce-scatter', _BYTES, _BYTES // 8, 1)
  assert one.groups.tolist() == part.groups.tolist() == [list(range(8))]


def test_collectives_in_a_loop_count_once_per_iteration():
  step = lambda c, _: (jax.lax.psum(c, 'x') / 8, None)  # noqa: E731
  sums = _per_device(lambda x: jax.lax.scan(step, x, length=5)[0])
  found = _costs(sums, jnp.ones((8, _SIDE)), devices=8)
  assert sum(one.count for one in found.collectives) == 5


@pytest.mark.parametrize(
  'text, groups',
  [
    ('replica_groups={{0,1},{2,3}}, x', [[0, 1], [2, 3]]),
    ('replica_groups=[2,2]<=[4], x', [[0, 1], [2, 3]]),
    ('replica_groups=[2,2]<=[2,2]T(1,0), x', [[0, 2], [1, 3]]),
    ("replica_groups=mesh['a'=2,'b'=2] {'a'}, x", [[0, 2], [1, 3]]),
    ("replica_groups=mesh['a'=2,'b'=2] {'b'}, x", [[0, 1], [2, 3]]),
    ("replica_groups=mesh['a'=2,'b'=2] {'a','b'}, x", [[0, 1, 2, 3]]),
    ("replica_groups=mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}, x", [[0, 1], [2, 3]]),
    ("replica_groups=mesh['a'=2,'b'=2], device_ids=(0,2,1,3) {'b'}, x", [[0, 2], [1, 3]]),
    ('source_target_pairs={{0,1},{1,0}}, x', [[0, 1], [1, 0]]),
    ('replica_groups={}, x', [[0, 1, 2, 3]]),
  ],
)
def test_replica_groups_are_parsed_in_every_form(text, groups):
  np.testing.assert_array_equal(collectives.replica_groups(text, 4), groups)


def test_array_size_includes_tile_padding():
  x, y, scalar, plain = program.arrays(
    '(f32[3,130]{1,0:T(4,128)S(1)}, /*index=1*/bf16[3,130]{0,1:T(8,128)(2,1)}, pred[], s4[6])'
  )
  assert x.size == 4 * 256 * 4 and x.values == 3 * 130 * 4 and x.space == 1
  # The layout {0,1} makes axis 0 minor: 3 is padded to 128, 130 to 136.
  assert y.size == 128 * 136 * 2 and y.space == 0
  assert scalar.size == 1 and plain.size == 3


def test_text_without_entry_is_refused():
  with pytest.raises(ValueError, match='no ENTRY'):
    program.parse('def f(x):\n  return x\n')


_TPU = """
%fused (p: f32[8,128], q: f32[8,128]) -> f32[8,128] {
  %p = f32[8,128]{1,0:T(8,128)} parameter(0)
  %q = f32[8,128]{1,0:T(8,128)S(1)} parameter(1)
  %sum = f32[8,128]{1,0:T(8,128)} add(%p, %q)
  ROOT %all-reduce.2 = f32[8,128]{1,0:T(8,128)} all-reduce(%sum), replica_groups={{0,1},{2,3}}
}

%all-reduce-scatter (p: f32[8,128]) -> f32[2,128] {
  %p = f32[8,128]{1,0:T(8,128)} parameter(0)
  %zero = s32[] constant(0)
  %sum = f32[8,128]{1,0:T(8,128)} all-reduce(%p), replica_groups={{0,1,2,3}}, to_apply=%add
  ROOT %own = f32[2,128]{1,0:T(2,128)} dynamic-slice(%sum, %zero, %zero), slice_sizes={2,128}
}

ENTRY %main (x: f32[8,128]) -> f32[2,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %i = s32[] constant(3)
  %start = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]) copy-start(%x)
  %near = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%start)
  %f = f32[8,128]{1,0:T(8,128)} fusion(%x, %near), calls=%fused, c={"estimated_cycles":"7"}
  %cut = ((f32[8,128], s32[]), f32[1,128]{1,0:T(1,128)S(1)}, u32[]) dynamic-slice-start(%f, %i)
  %row = f32[1,128]{1,0:T(1,128)S(1)} dynamic-slice-done(%cut)
  ROOT %g = f32[2,128]{1,0:T(2,128)} fusion(%f), kind=kCustom, calls=%all-reduce-scatter
}
"""


def test_program_of_the_tpu_compiler():
  """On-chip memory is no traffic; an all-reduce with a slice is a reduce-scatter."""
  found = costs.costs(program.parse(_TPU), 4)
  assert found.cycles == 7
  reduced, scattered = found.collectives
  assert reduced[:2] == ('all-reduce', 8 * 512) and reduced.groups.shape == (2, 2)
  assert scattered[:3] == ('reduce-scatter', 8 * 512, 2 * 512)
  # The copy reads x; the first fusion reads x and its on-chip copy, and writes. The asynchronous
  # slice reads one row; the second fusion reads all rows and writes two.
  assert found.traffic == (3 * 8 + 1 + 8 + 2) * 512


_SLICES = """
ENTRY %main (x: f32[128]) -> f32[128] {
  %x = f32[128]{0:T(128)} parameter(0)
  %token = token[] after-all()
  %sum = f32[128]{0:T(128)} all-reduce(%x), replica_groups={}, to_apply=%add
  %send = (f32[128]{0:T(128)}, u32[], token[]) send(%sum, %token), is_host_transfer=true, \
frontend_attributes={_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %sent = token[] send-done(%send)
  ROOT %y = f32[128]{0:T(128)} copy(%x)
}
"""


def test_cross_slice_transfer_is_a_collective_of_the_slices():
  within, across = costs.costs(program.parse(_SLICES.replace('\\\n', '')), 4, 3).collectives
  assert within.groups.tolist() == [[0, 1, 2, 3]] and within.operand_bytes == 512
  assert across.groups.tolist() == [[0, 4, 8]]
  assert (across.kind, across.operand_bytes, across.count) == ('all-reduce', 512, 1)
