"""Lower bounds of a step's time from peak rates (Williams et al., "Roofline", CACM 2009)."""

from typing import NamedTuple

import numpy as np

from depthjax.plan.collectives import Collective
from depthjax.plan.planning import Compiled
from depthjax.plan.topology import Topology

_RESOURCES = {
  'matrix': 'matrix units',
  'vector': 'vector units',
  'memory': 'memory bandwidth',
  'links': 'links between chips',
  'network': 'network',
}


class Times(NamedTuple):
  """Seconds that each resource of a device needs at its peak rate, None if it is not published."""

  matrix: float
  vector: float | None
  memory: float
  links: float
  network: float
  compiler: float | None  # The compiler's estimate, without collectives and gathers.

  @property
  def roofline(self) -> float:
    """Lower bound of a step: all resources run at their peak at the same time."""
    return max(getattr(self, name) or 0.0 for name in _RESOURCES)

  @property
  def sequential(self) -> float:
    """Sum over the resources: they run one after another."""
    return sum(getattr(self, name) or 0.0 for name in _RESOURCES)

  @property
  def bottleneck(self) -> str:
    """The resource that takes longest."""
    return _RESOURCES[max(_RESOURCES, key=lambda name: getattr(self, name) or 0.0)]


def times(step: Compiled, topology: Topology) -> Times:
  """Times of a compiled step that fits in memory."""
  chip, count = topology.chip, len(topology.devices)
  links, network = bytes_sent(step, topology)
  slowest = min(chip.matrix.values())
  return Times(
    matrix=sum(n / count / chip.matrix.get(t, slowest) for t, n in step.work.matrix.items()),
    vector=chip.vector and step.work.vector / count / chip.vector,
    memory=step.costs.traffic / chip.bandwidth,
    links=links / chip.links,
    network=network / chip.network,
    compiler=chip.clock and step.costs.cycles and step.costs.cycles / chip.clock,
  )


def bytes_sent(step: Compiled, topology: Topology) -> tuple[float, float]:
  """Bytes that one device sends in a step over links and over the network."""
  links = network = 0.0
  for one in step.costs.collectives:
    near, far = _bytes_sent(one, topology.domain)
    links, network = links + one.count * near, network + one.count * far
  return links, network


def _bytes_sent(one: Collective, domain: int) -> tuple[float, float]:
  """The same for one collective, by the algorithm that sends the fewest bytes.

  An all-reduce is a reduce-scatter and an all-gather. In each, a device sends (m - 1) / m of the
  data to the m members of its domain, over links. Between k domains each member sends its 1 / m of
  the data, times (k - 1) / k, over the network.
  """
  size = float(one.operand_bytes)
  if one.kind in ('collective-permute', 'collective-broadcast'):
    crosses = any(len(set(group // domain)) > 1 for group in one.groups)
    return (0.0, size) if crosses else (size, 0.0)
  total = float(one.result_bytes) if one.kind == 'all-gather' else size
  total *= 2 if one.kind == 'all-reduce' else 1
  near = far = 0.0
  for group in one.groups:
    domains = len(set(np.asarray(group) // domain))
    members = len(group) / domains
    if one.kind == 'all-to-all':  # Each device has different data for each other device.
      near = max(near, size * (members - 1) / len(group))
      far = max(far, size * (domains - 1) / domains)
    else:
      near = max(near, total * (members - 1) / members)
      far = max(far, total / members * (domains - 1) / domains)
  return near, far
