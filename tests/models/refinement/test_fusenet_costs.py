"""Parameters and multiply-adds of the refinement network against the published numbers."""

import functools

import jax
import pytest

from benchmarks import sddr_costs
from depthjax.models.refinement import fusenet, refiners


def test_the_network_has_the_parameters_of_the_release():
  params = jax.eval_shape(functools.partial(refiners.initial, fusenet.FuseNet()))['params']
  count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))  # noqa: E731
  assert count(params) == 10_302_483
  assert count(params['backbone']) == 3_339_776
  assert count(params['cross']) == 6_443_776
  assert sum(count(params[f'encoder_{i}']) for i in (1, 2, 3)) == 19_080


@pytest.mark.parametrize('side, billions', [(1024, 4.90), (2048, 21.96)])
def test_multiply_adds_are_the_published_ones_and_inference_omits_the_side_outputs(side, billions):
  training = sddr_costs.macs(side, True)
  assert round(training / 1e9, 2) == billions
  # 3x3 convolutions to one channel, from 32 at a quarter and from 16 at half of the size.
  heads = 9 * (32 * (side // 4) ** 2 + 16 * (side // 2) ** 2)
  assert training - sddr_costs.macs(side, False) == heads
