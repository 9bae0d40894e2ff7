"""Lower bounds of a step's time from peak rates (Williams et al., "Roofline", CACM 2009)."""

from typing import NamedTuple

import numpy as np

from depthjax.plan.collectives import Collective
from depthjax.plan.planning import Compiled
from depthjax.plan.topology import Topology

_NAMES = {
  'matrix': 'the matrix units',
  'vector': 'the vector units',
  'memory': 'the memory',
  'links': 'the links between chips',
  'network': 'the network',
}


class Times(NamedTuple):
  """Seconds that each resource of a device needs at its peak, and what the compiler expects.

  The compiler's are without collectives and gathers, of which it says nothing.
  `vector` and `compiler` are None where the chip's rates are not published.
  """

  matrix: float
  vector: float | None
  memory: float
  links: float
  network: float
  compiler: float | None

  @property
  def roofline(self) -> float:
    """No step is faster: all resources at their peak, all at once."""
    return max(getattr(self, name) or 0.0 for name in _NAMES)

  @property
  def serial(self) -> float:
    """The same, none of them at once with another."""
    return sum(getattr(self, name) or 0.0 for name in _NAMES)

  @property
  def bound(self) -> str:
    """The resource that takes longest."""
    return _NAMES[max(_NAMES, key=lambda name: getattr(self, name) or 0.0)]


def times(step: Compiled, topology: Topology) -> Times:
  """The times of a step that was compiled and fits."""
  chip, count = topology.chip, len(topology.devices)
  links, network = sent(step, topology)
  slowest = min(chip.matrix.values())
  return Times(
    matrix=sum(n / count / chip.matrix.get(t, slowest) for t, n in step.work.matrix.items()),
    vector=chip.vector and step.work.vector / count / chip.vector,
    memory=step.costs.traffic / chip.bandwidth,
    links=links / chip.links,
    network=network / chip.network,
    compiler=chip.clock and step.costs.cycles and step.costs.cycles / chip.clock,
  )


def sent(step: Compiled, topology: Topology) -> tuple[float, float]:
  """Bytes that one device must send over links and over the network in a step."""
  links = network = 0.0
  for one in step.costs.collectives:
    near, far = _sent(one, topology.island)
    links, network = links + one.times * near, network + one.times * far
  return links, network


def _sent(one: Collective, island: int) -> tuple[float, float]:
  """Of a collective among n devices on k islands, with the fewest bytes that do it.

  Within an island a device sends (m-1)/m of the whole for each of the two halves of an all-reduce,
  m its members there; between islands each member has 1/m of the whole to send on, and needs the
  network for it.
  """
  if one.kind in ('collective-permute', 'collective-broadcast'):
    crosses = any(len(set(group // island)) > 1 for group in one.groups)
    return (0.0, float(one.size)) if crosses else (float(one.size), 0.0)
  near = far = 0.0
  for group in one.groups:
    islands = len(set(np.asarray(group) // island))
    members = len(group) / islands
    if one.kind == 'all-to-all':  # Everyone has something for everyone.
      near = max(near, one.size * (members - 1) / len(group))
      far = max(far, one.size * (islands - 1) / islands)
      continue
    whole = {'all-gather': one.result}.get(one.kind, one.size)
    halves = 2 if one.kind == 'all-reduce' else 1
    near = max(near, halves * whole * (members - 1) / members)
    far = max(far, halves * whole / members * (islands - 1) / islands)
  return near, far
