"""Plans with the TPU compiler, where libtpu is installed."""

import io

import jax
import pytest
from rich.console import Console

from depthjax.plan import planning, report, roofline, topology
from tests import tiny
from tests.plan.test_topology import needs_libtpu

pytestmark = [pytest.mark.slow, needs_libtpu]


@pytest.mark.parametrize('name, slices', [('v5e:2x2', 1), ('v5e:2x2*2', 2)])
def test_tpu_plan_is_complete(name, slices):
  found = topology.find(name)
  config = tiny.config(parallel__fsdp=2)
  plan = planning.plan(config, found, quick=True)
  step, times = plan.train, roofline.times(plan.train, found)
  assert step.fits and step.costs.cycles > 0 and step.costs.unknown_loops == 0
  assert step.costs.gather_elements > 0 and times.compiler > 0
  # Tile padding makes the batch larger than its values.
  assert step.memory.arguments > plan.state_bytes
  # Each device of a pair holds half of each sharded parameter, and sends it to the other.
  experiment, _ = planning._experiment(config, found)
  params = jax.tree.leaves(experiment.runner.abstract.params)
  sharded = [x for x in params if not x.sharding.is_fully_replicated]
  gathered = [
    one.operand_bytes
    for one in step.costs.collectives
    if one.kind == 'all-gather' and one.groups.tolist() == [[0, 1], [2, 3]]
  ]
  assert sum(gathered) == sum(x.size * x.dtype.itemsize for x in sharded) // 2
  assert (roofline.bytes_sent(step, found)[1] > 0) == (slices > 1)
  console = Console(record=True, width=120, file=io.StringIO())
  report.show(plan, console)
  text = console.export_text()
  assert 'ESTIMATES' not in text and "compiler's estimate" in text and 'FITS: ' in text


def test_batch_that_is_too_large_does_not_fit():
  found = topology.find('v5e:2x2')
  config = tiny.config(batch_size=400_000, eval__examples=400_000)
  plan = planning.plan(config, found, quick=True)
  assert not plan.train.fits and plan.train.required > plan.train.available > 15 * 2**30
  assert report.verdict(plan).startswith('DOES NOT FIT: the train step needs')
