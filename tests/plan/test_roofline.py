"""Bytes over links and seconds at peak, by formulas that can be done by hand."""

import numpy as np
import pytest

from depthjax.plan import chips, roofline
from depthjax.plan.collectives import Collective
from depthjax.plan.costs import Costs
from depthjax.plan.planning import Compiled, Memory
from depthjax.plan.topology import Topology
from depthjax.plan.work import Work

_CHIP = chips.CHIPS['v5e']


def _step(collectives=(), traffic=0, matrix=None, vector=0, cycles=None):
  work = Work(matrix or {}, vector, 0)
  costs = Costs(traffic, tuple(collectives), cycles, 0, 0)
  return Compiled(8, 1.0, work, 1.0, 2.0, Memory(0, 0, 0, 0, 0), costs)


def _topology(count, island=None):
  return Topology('x', _CHIP, [None] * count, island or count, True)


def _collective(kind, groups, size=1200, result=1200, times=1):
  return Collective(kind, size, result, times, np.array(groups), '')


@pytest.mark.parametrize(
  'kind, size, result, sent',
  [
    ('all-reduce', 1200, 1200, 2 * 1200 * 3 / 4),
    ('reduce-scatter', 1200, 300, 1200 * 3 / 4),
    ('all-gather', 300, 1200, 1200 * 3 / 4),
    ('all-to-all', 1200, 1200, 1200 * 3 / 4),
  ],
)
def test_a_device_sends_what_a_ring_needs(kind, size, result, sent):
  one = _collective(kind, [[0, 1, 2, 3]], size, result, times=2)
  assert roofline.sent(_step([one]), _topology(4)) == (2 * sent, 0)


def test_between_islands_each_member_sends_its_share_over_the_network():
  everyone = _collective('all-reduce', [range(8)])
  near, far = roofline.sent(_step([everyone]), _topology(8, island=4))
  assert near == 2 * 1200 * 3 / 4
  assert far == 2 * 1200 / 4 / 2
  within = _collective('all-reduce', [range(4), range(4, 8)])
  assert roofline.sent(_step([within]), _topology(8, island=4)) == (2 * 1200 * 3 / 4, 0)


def test_between_islands_everyone_has_something_for_everyone():
  one = _collective('all-to-all', [range(8)])
  near, far = roofline.sent(_step([one]), _topology(8, island=4))
  assert near == 1200 * 3 / 8 and far == 1200 / 2


def test_a_permutation_is_sent_once_and_over_the_network_if_a_pair_needs_it():
  pairs = [[0, 1], [1, 0]]
  one = _collective('collective-permute', pairs)
  assert roofline.sent(_step([one]), _topology(2)) == (1200, 0)
  assert roofline.sent(_step([one]), _topology(2, island=1)) == (0, 1200)


def test_the_slowest_resource_is_the_roofline():
  step = _step(traffic=819e9, matrix={'float32': 2 * 197e12, 'bfloat16': 2 * 197e12}, cycles=3e9)
  times = roofline.times(step, _topology(2))
  assert times.memory == pytest.approx(1) and times.matrix == pytest.approx(2)
  assert times.roofline == times.matrix and times.bound == 'the matrix units'
  assert times.serial == pytest.approx(3) and times.compiler == pytest.approx(2)


def test_published_figures_agree_with_each_other():
  """Peak over clock is the number of multipliers, 128 x 128 in every array."""
  for name, arrays in {'v4': 8, 'v5e': 4, 'v5p': 8}.items():
    chip = chips.CHIPS[name]
    assert chip.matrix['bfloat16'] / chip.clock == pytest.approx(2 * arrays * 128**2, rel=0.01)
  assert all(chip.hbm > 1e10 and chip.links > chip.network for chip in chips.CHIPS.values())
