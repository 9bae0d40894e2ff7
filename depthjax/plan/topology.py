"""Devices by name: 'v5e:4x4', two slices of it 'v5e:4x4*2', or a count of GPUs 'h100:8'.

A TPU topology needs libtpu alone: its devices can be compiled for on any machine. For GPUs there is
no such thing here, so as many devices of this machine's processor stand in for them.
"""

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import jax
from jax.experimental import topologies

from depthjax.configuring import ConfigError
from depthjax.plan.chips import CHIPS, Chip

_GPUS_A_NODE = 8
# Without these libtpu asks the network which machine it is on, or refuses to be two at a time.
_ALONE = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_WORKER_HOSTNAMES': 'localhost',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
}


class Topology(NamedTuple):
  """Devices to compile for.

  Fields:
    name: as the user wrote it.
    chip: the facts of one device.
    devices: what to build a mesh of.
    island: devices that fast links join: a slice's, or a node's.
    exact: whether the compiler is that of the chip, so that its numbers are no estimates.
  """

  name: str
  chip: Chip
  devices: Sequence[jax.Device]
  island: int
  exact: bool


def find(name: str) -> Topology:
  """The topology of that name; must be called before this process uses any device.

  Raises:
    ConfigError: a name of no such form, an unknown chip, a shape that there is not, or a TPU where
      libtpu is not installed.
  """
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+)*)(?:\*(\d+))?', name)
  if not match or match[1] not in CHIPS:
    raise ConfigError(
      f'topology is {name!r}; expected CHIP:SHAPE such as v5e:4x4, two slices of it v5e:4x4*2, or '
      f'h100:8, with one of {", ".join(CHIPS)}'
    )
  chip, shape, slices = CHIPS[match[1]], match[2], int(match[3] or 1)
  if shape.count('x') + 1 != chip.axes:
    like = {1: '8', 2: '4x4', 3: '2x2x4'}[chip.axes]
    raise ConfigError(f'topology is {name!r}; a {chip.name} comes as {match[1]}:{like}')
  if chip.platform == 'tpu':
    devices = _tpus(name, match[1], shape, slices)
    return Topology(name, chip, devices, len(devices) // slices, exact=True)
  if slices > 1 or int(shape) < 1:
    raise ConfigError(f'topology is {name!r}; GPUs are counted, all of them: {match[1]}:16')
  devices = _processors(int(shape))
  return Topology(name, chip, devices, min(int(shape), _GPUS_A_NODE), exact=False)


def _tpus(name: str, chip: str, shape: str, slices: int) -> Sequence[jax.Device]:
  if importlib.util.find_spec('libtpu') is None:
    raise ConfigError(f"topology {name} needs the compiler of TPUs: pip install 'depthjax[tpu]' ")
  for variable, value in _ALONE.items():
    # Where there is no TPU, importing jax leaves a complaint in some of them.
    if os.environ.get(variable, 'WARNING').startswith('WARNING'):
      os.environ[variable] = value
  options = {'chip_config_name': 'megacore'} if chip == 'v4' else {}  # One device a chip.
  if slices > 1:
    options['num_slices'] = slices
  # What is compiled for devices that are not there can be kept, but not read again.
  jax.config.update('jax_enable_compilation_cache', False)
  sides = [int(side) for side in shape.split('x')]
  if math.prod(sides) < 4:  # Part of a host.
    options['chips_per_host_bounds'] = (*sides, 1)[:3]
  try:
    return topologies.get_topology_desc(
      platform='tpu', topology_name=f'{chip}:{shape}', **options
    ).devices
  except (RuntimeError, ValueError) as error:
    raise ConfigError(f'topology {name}: {str(error).splitlines()[0]}') from error


def _processors(count: int) -> Sequence[jax.Device]:
  """Devices of the processor: set up here, since JAX makes them at their first use."""
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', count)
  return jax.devices('cpu')[:count]
