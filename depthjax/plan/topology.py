"""Topologies by name: 'v5e:4x4', two slices 'v5e:4x4*2', or a number of GPUs 'h100:8'.

A program for a TPU topology is compiled by libtpu on any machine. There is no such compiler for
GPUs: the program is compiled for as many CPU devices instead, which gives estimates.
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

_GPUS_PER_NODE = 8
# Without these libtpu queries the metadata server, or refuses to run in two processes.
_ENVIRONMENT = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_WORKER_HOSTNAMES': 'localhost',
  'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
}


class Topology(NamedTuple):
  """Devices to compile for."""

  name: str  # As the user wrote it.
  chip: Chip
  devices: Sequence[jax.Device]
  domain: int  # Number of devices that fast links join: a TPU slice or a GPU node.
  exact: bool  # Whether the program is compiled by the chip's own compiler.


def find(name: str) -> Topology:
  """The topology of that name. Call it before this process uses any device.

  Raises ConfigError: malformed name, unknown chip, impossible shape, or no libtpu.
  """
  match = re.fullmatch(r'(\w+):(\d+(?:x\d+)*)(?:\*(\d+))?', name)
  if not match or match[1] not in CHIPS:
    raise ConfigError(
      f'topology is {name!r}; expected CHIP:SHAPE such as v5e:4x4, v5e:4x4*2 for two slices, or '
      f'h100:8; chips are {", ".join(CHIPS)}'
    )
  chip, shape, slices = CHIPS[match[1]], match[2], int(match[3] or 1)
  if shape.count('x') + 1 != chip.axes or chip.platform == 'gpu' and (slices > 1 or int(shape) < 1):
    example = {1: '8', 2: '4x4', 3: '2x2x4'}[chip.axes]
    raise ConfigError(f'topology is {name!r}; expected {match[1]}:{example} or similar')
  if chip.platform == 'tpu':
    devices = _tpu_devices(name, match[1], shape, slices)
    return Topology(name, chip, devices, len(devices) // slices, exact=True)
  # JAX creates CPU devices at their first use.
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', int(shape))
  devices = jax.devices('cpu')[: int(shape)]
  return Topology(name, chip, devices, min(int(shape), _GPUS_PER_NODE), exact=False)


def _tpu_devices(name: str, chip: str, shape: str, slices: int) -> Sequence[jax.Device]:
  if importlib.util.find_spec('libtpu') is None:
    raise ConfigError(f"topology {name} needs the TPU compiler: pip install 'depthjax[tpu]'")
  for variable, value in _ENVIRONMENT.items():
    # On a machine without a TPU, importing jax leaves a warning as the value of some of them.
    if os.environ.get(variable, 'WARNING').startswith('WARNING'):
      os.environ[variable] = value
  options = {'chip_config_name': 'megacore'} if chip == 'v4' else {}  # One device a chip.
  if slices > 1:
    options['num_slices'] = slices
  # Programs for absent devices can be written to the compilation cache, but not read back.
  jax.config.update('jax_enable_compilation_cache', False)
  sides = [int(side) for side in shape.split('x')]
  if math.prod(sides) < 4:  # Fewer chips than a host has.
    options['chips_per_host_bounds'] = (*sides, 1)[:3]
  try:
    return topologies.get_topology_desc(f'{chip}:{shape}', 'tpu', **options).devices
  except (RuntimeError, ValueError) as error:
    raise ConfigError(f'topology {name}: {str(error).splitlines()[0]}') from error
