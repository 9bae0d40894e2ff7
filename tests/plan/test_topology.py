"""Names of topologies, valid and invalid."""

import importlib.util

import pytest

from depthjax.configuring import ConfigError
from depthjax.plan import topology

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None, reason='libtpu is not installed (extra "tpu")'
)


@needs_libtpu
@pytest.mark.parametrize(
  'name, count, domain', [('v5e:4x4', 16, 16), ('v4:2x2x2', 8, 8), ('v5e:2x4*2', 16, 8)]
)
def test_tpu_topology_has_one_device_per_chip(name, count, domain):
  found = topology.find(name)
  assert len(found.devices) == count and found.domain == domain and found.exact
  assert {device.platform for device in found.devices} == {'tpu'}


def test_gpu_topology_uses_cpu_devices_and_is_not_exact():
  found = topology.find('h100:8')
  assert len(found.devices) == 8 and not found.exact and found.chip.name == 'NVIDIA H100'


_INVALID = {
  'CHIP:SHAPE such as v5e:4x4': ('v5e', 'b300:8'),
  'v5e:4x4 or': ('v5e:4x4x4',),
  'v5p:2x2x4 or': ('v5p:4x4',),
  'h100:8 or': ('h100:2x4', 'h100:0', 'h100:8*2'),
}


@pytest.mark.parametrize('example', _INVALID)
def test_invalid_name_is_refused_with_an_example(example):
  for name in _INVALID[example]:
    with pytest.raises(ConfigError, match=f'expected {example}'):
      topology.find(name)


@needs_libtpu
def test_impossible_shape_is_refused_with_the_compilers_message():
  with pytest.raises(ConfigError, match='topology v5e:3x5: .*not divisible'):
    topology.find('v5e:3x5')


def test_missing_libtpu_is_refused_with_the_extra_to_install(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ConfigError, match=r"pip install 'depthjax\[tpu\]'"):
    topology.find('v5e:4x4')
