"""Arithmetic counted in a trace, against the compiler's count where that one counts right."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from depthjax.models import convolution
from depthjax.plan import work


def _both(function, *args):
  """Matrix FLOPs as traced, and all FLOPs by the compiler."""
  traced = jax.jit(function).trace(*args)
  counted = work.work(traced.jaxpr)
  return counted, traced.lower().compile().cost_analysis()['flops']


@pytest.mark.parametrize('padding', ['VALID', 'SAME', ((3, 2), (0, 4))])
@pytest.mark.parametrize(
  'options', [{}, {'rhs_dilation': (2, 1)}, {'lhs_dilation': (2, 2)}], ids=str
)
@pytest.mark.parametrize('stride', [1, 2])
def test_a_convolution_is_counted_as_the_compiler_does(padding, options, stride):
  if 'lhs_dilation' in options and isinstance(padding, str):
    padding = {'VALID': ((0, 0), (0, 0)), 'SAME': ((1, 1), (1, 2))}[padding]
  x, kernel = jnp.ones((2, 12, 15, 4)), jnp.ones((3, 4, 4, 6))
  numbers = ('NHWC', 'HWIO', 'NHWC')
  conv = lambda x, k: jax.lax.conv_general_dilated(  # noqa: E731
    x, k, (stride, stride), padding, dimension_numbers=numbers, **options
  )
  counted, flops = _both(conv, x, kernel)
  assert counted.matrix == {'float32': flops}


def test_gradients_of_a_strided_and_a_grouped_convolution_count_too():
  x, kernel = jnp.ones((2, 13, 13, 4)), jnp.ones((3, 3, 2, 6))

  def loss(x, kernel):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    y = jax.lax.conv_general_dilated(
      x, kernel, (2, 2), 'VALID', dimension_numbers=numbers, feature_group_count=2
    )
    return (y**3).sum()

  forward, _ = _both(loss, x, kernel)
  both, _ = _both(jax.grad(loss, (0, 1)), x, kernel)
  # Each of the three has the same multiply-adds.
  assert both.matrix['float32'] == 3 * forward.matrix['float32']


def test_what_nobody_uses_is_not_counted():
  def wasteful(x):
    jnp.linalg.multi_dot([x, x, x])
    return jax.lax.cond(x[0, 0] > 0, lambda x: (x @ x, x), lambda x: (x, x), x)[1]

  assert work.work(jax.jit(wasteful).trace(jnp.ones((4, 4))).jaxpr).matrix == {}
  x = jnp.ones((2, 16, 16, 6))
  layer = convolution.Conv(6, 3)
  variables = layer.init(jax.random.key(0), x)
  loss = lambda variables, x: (layer.apply(variables, x) ** 2).sum()  # noqa: E731
  forward, _ = _both(loss, variables, x)
  both, _ = _both(jax.grad(loss, (0, 1)), variables, x)
  assert both.matrix['float32'] == 3 * forward.matrix['float32']


def test_products_go_by_the_type_of_their_inputs():
  counted, flops = _both(lambda a, b: a @ b, jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6)))
  assert counted.matrix == {'float32': flops} and counted.vector == 0
  half = jnp.ones((4, 4), jnp.bfloat16)
  counted = work.work(jax.jit(jnp.matmul).trace(half, half).jaxpr)
  assert counted.matrix == {'bfloat16': 2 * 4**3}


def test_loops_count_as_often_as_they_turn():
  def turn(x):
    return jax.lax.scan(lambda c, _: (jnp.sin(c @ c) + 1, None), x, length=7)[0]

  counted = work.work(jax.jit(turn).trace(jnp.ones((8, 8))).jaxpr)
  assert counted == work.Work({'float32': 7 * 2 * 8**3}, 7 * 2 * 64, 0)
  endless = lambda x: jax.lax.while_loop(lambda x: x[0] > 0, lambda x: x - 1, x)  # noqa: E731
  assert work.work(jax.jit(endless).trace(jnp.ones(3)).jaxpr).unknown_loops == 1


def test_of_branches_the_heavier_counts_and_of_platforms_everybodys():
  x = jnp.ones((4, 4))
  either = lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x, lambda x: x @ x, x)  # noqa: E731
  assert work.work(jax.jit(either).trace(x).jaxpr).matrix == {'float32': 2 * 4**3}
  other = lambda x: jax.lax.platform_dependent(  # noqa: E731
    x, cpu=lambda x: x @ x @ x @ x, default=lambda x: x @ x
  )
  assert work.work(jax.jit(other).trace(x).jaxpr).matrix == {'float32': 2 * 4**3}


def test_what_every_device_does_counts_for_all():
  mesh = jax.make_mesh((8,), ('x',), (AxisType.Auto,))
  spec = PartitionSpec('x')
  mapped = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=spec, out_specs=spec)
  counted = work.work(jax.jit(mapped).trace(jnp.ones((16, 4))).jaxpr)
  assert counted.matrix == {'float32': 8 * 2 * 2 * 2 * 4}


def test_reductions_count_what_goes_in_and_moves_nothing():
  counted = work.work(jax.jit(lambda x: x.sum()).trace(jnp.ones((5, 6))).jaxpr)
  assert counted.vector == 30
  moved = lambda x: jnp.transpose(x)[::-1].reshape(-1)[:7]  # noqa: E731
  assert work.work(jax.jit(moved).trace(jnp.ones((5, 6))).jaxpr).vector == 0
