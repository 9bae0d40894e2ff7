"""Bytes sent and seconds at peak rates against values computed by hand."""

import numpy as np
import pytest

from depthjax.plan import chips, roofline
from depthjax.plan.collectives import Collective
from depthjax.plan.costs import Costs
from depthjax.plan.planning import Compiled, Memory
from depthjax.plan.topology import Topology
from depthjax.plan.work import Work

_ALL = [list(range(8))]
_ROWS = [list(range(4)), list(range(4, 8))]
_PAIR = [[0, 1], [1, 0]]


def _step(collectives=(), traffic=0, matrix=None, cycles=None):
  costs = Costs(traffic, tuple(collectives), cycles, 0, 0)
  return Compiled(8, 1.0, Work(matrix or {}, 0, 0), 1.0, 2.0, Memory(0, 0, 0, 0, 0), costs)


def _topology(count, domain):
  return Topology('x', chips.CHIPS['v5e'], [None] * count, domain, True)


@pytest.mark.parametrize(
  'kind, groups, operand, result, domain, near, far',
  [
    # Within one domain of 4 devices: what a ring sends.
    ('all-reduce', _ROWS, 1200, 1200, 8, 2 * 1200 * 3 / 4, 0),
    ('reduce-scatter', _ROWS, 1200, 300, 8, 1200 * 3 / 4, 0),
    ('all-gather', _ROWS, 300, 1200, 8, 1200 * 3 / 4, 0),
    ('all-to-all', _ROWS, 1200, 1200, 8, 1200 * 3 / 4, 0),
    # Over 2 domains of 4 devices.
    ('all-reduce', _ALL, 1200, 1200, 4, 2 * 1200 * 3 / 4, 2 * 1200 / 4 / 2),
    ('all-to-all', _ALL, 1200, 1200, 4, 1200 * 3 / 8, 1200 / 2),
    # A permutation uses the network if one of its pairs does.
    ('collective-permute', _PAIR, 1200, 1200, 8, 1200, 0),
    ('collective-permute', _PAIR, 1200, 1200, 1, 0, 1200),
  ],
)
def test_bytes_sent_by_one_device(kind, groups, operand, result, domain, near, far):
  one = Collective(kind, operand, result, 3, np.array(groups), '')
  assert roofline.bytes_sent(_step([one]), _topology(8, domain)) == (3 * near, 3 * far)


def test_roofline_is_the_time_of_the_slowest_resource():
  step = _step(traffic=819e9, matrix={'float32': 2 * 197e12, 'bfloat16': 2 * 197e12}, cycles=3e9)
  times = roofline.times(step, _topology(2, 2))
  assert times.memory == pytest.approx(1) and times.matrix == pytest.approx(2)
  assert times.roofline == times.matrix and times.bottleneck == 'matrix units'
  assert times.sequential == pytest.approx(3) and times.compiler == pytest.approx(2)
