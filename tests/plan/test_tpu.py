"""Programs of the TPU's own compiler, where it is installed: what they say is read right."""

import importlib.util

import jax
import pytest
from rich.console import Console

from depthjax.plan import planning, report, roofline, topology
from tests import tiny

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    importlib.util.find_spec('libtpu') is None, reason='the compiler of TPUs is the extra tpu'
  ),
]


@pytest.mark.parametrize('name, slices', [('v5e:2x2', 1), ('v5e:2x2*2', 2)])
def test_a_plan_for_tpus_has_everything(name, slices):
  found = topology.find(name)
  config = tiny.config(parallel__fsdp=2)
  plan = planning.plan(config, found, quick=True)
  step, times = plan.train, roofline.times(plan.train, found)
  assert step.fits and step.costs.cycles > 0 and step.costs.unknown_loops == 0
  assert step.costs.gathered > 0 and times.compiler > 0
  # The padding of a TPU makes the batch larger than its bytes.
  assert step.memory.arguments > plan.state_bytes
  # Among the two that share a parameter, half of each is given by either.
  split = [x for x in jax.tree.leaves(_params(plan, found)) if not x.sharding.is_fully_replicated]
  gathered = [
    one.size
    for one in step.costs.collectives
    if one.kind == 'all-gather' and one.groups.tolist() == [[0, 1], [2, 3]]
  ]
  assert sum(gathered) == sum(x.size * x.dtype.itemsize for x in split) // 2
  assert (roofline.sent(step, found)[1] > 0) == (slices > 1)
  console = Console(record=True, width=120, quiet=True)
  report.show(plan, console)
  assert 'ESTIMATES' not in report.verdict(plan) and report.verdict(plan).startswith('FITS')


def _params(plan, found):
  experiment, _ = planning._built(plan.config, found)
  return experiment.runner.abstract.params


def test_a_batch_too_large_is_refused_by_the_compiler_and_told():
  found = topology.find('v5e:2x2')
  config = tiny.config(batch_size=400_000, eval__examples=400_000)
  plan = planning.plan(config, found, quick=True)
  assert not plan.train.fits and plan.train.used > plan.train.limit > 15 * 2**30
  assert report.verdict(plan).startswith('DOES NOT FIT: the train step wants')
