"""FLOPs counted in a jaxpr against the compiler's count, where that is right."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from depthjax.plan import work

_NUMBERS = ('NHWC', 'HWIO', 'NHWC')


def _work(function, *args):
  return work.work(jax.jit(function).trace(*args).jaxpr)


def _compiler_flops(function, *args):
  return jax.jit(function).lower(*args).compile().cost_analysis()['flops']


@pytest.mark.parametrize('padding', [((0, 0), (0, 0)), ((1, 1), (1, 2)), ((3, 2), (0, 4))])
@pytest.mark.parametrize('lhs, rhs', [((1, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 2), (1, 1))])
@pytest.mark.parametrize('stride', [1, 2])
def test_convolution_has_the_compilers_flops(padding, lhs, rhs, stride):
  x, kernel = jnp.ones((2, 12, 15, 4)), jnp.ones((3, 4, 4, 6))
  conv = lambda x, k: jax.lax.conv_general_dilated(  # noqa: E731
    x, k, (stride, stride), padding, lhs, rhs, _NUMBERS
  )
  assert _work(conv, x, kernel).matrix == {'float32': _compiler_flops(conv, x, kernel)}


def test_gradient_of_a_strided_grouped_convolution_has_three_times_its_flops():
  x, kernel = jnp.ones((2, 13, 13, 4)), jnp.ones((3, 3, 2, 6))

  def loss(x, kernel):
    y = jax.lax.conv_general_dilated(
      x, kernel, (2, 2), 'VALID', dimension_numbers=_NUMBERS, feature_group_count=2
    )
    return (y**3).sum()

  forward, both = _work(loss, x, kernel), _work(jax.grad(loss, (0, 1)), x, kernel)
  assert both.matrix['float32'] == 3 * forward.matrix['float32']


def test_unused_results_are_not_counted():
  def wasteful(x):
    jnp.linalg.multi_dot([x, x, x])
    return jax.lax.cond(x[0, 0] > 0, lambda x: (x @ x, x), lambda x: (x, x), x)[1]

  assert _work(wasteful, jnp.ones((4, 4))).matrix == {}


def test_matrix_products_count_by_input_type():
  a, b = jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6))
  assert _work(jnp.matmul, a, b) == work.Work({'float32': _compiler_flops(jnp.matmul, a, b)}, 0, 0)
  half = jnp.ones((4, 4), jnp.bfloat16)
  assert _work(jnp.matmul, half, half).matrix == {'bfloat16': 2 * 4**3}


def test_scan_counts_once_per_iteration_and_while_is_unknown():
  def scan(x):
    return jax.lax.scan(lambda c, _: (jnp.sin(c @ c) + 1, None), x, length=7)[0]

  assert _work(scan, jnp.ones((8, 8))) == work.Work({'float32': 7 * 2 * 8**3}, 7 * 2 * 64, 0)
  endless = lambda x: jax.lax.while_loop(lambda x: x[0] > 0, lambda x: x - 1, x)  # noqa: E731
  assert _work(endless, jnp.ones(3)).unknown_loops == 1


def test_heaviest_branch_counts_and_the_default_platform():
  x = jnp.ones((4, 4))
  either = lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x, lambda x: x @ x, x)  # noqa: E731
  platform = lambda x: jax.lax.platform_dependent(  # noqa: E731
    x, cpu=lambda x: x @ x @ x @ x, default=lambda x: x @ x
  )
  assert _work(either, x).matrix == _work(platform, x).matrix == {'float32': 2 * 4**3}


def test_shard_map_counts_for_all_devices():
  mesh = jax.make_mesh((8,), ('x',), (AxisType.Auto,))
  spec = PartitionSpec('x')
  mapped = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=spec, out_specs=spec)
  assert _work(mapped, jnp.ones((16, 4))).matrix == {'float32': 8 * 2 * 2 * 2 * 4}


def test_reductions_count_their_inputs_and_moves_count_nothing():
  assert _work(jnp.sum, jnp.ones((5, 6))).vector == 30
  moved = lambda x: jnp.transpose(x)[::-1].reshape(-1)[:7]  # noqa: E731
  assert _work(moved, jnp.ones((5, 6))).vector == 0
