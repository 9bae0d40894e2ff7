"""Names of topologies: what they mean, and what the wrong ones are told."""

import importlib.util

import pytest

from depthjax.configuring import ConfigError
from depthjax.plan import topology

needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None, reason='the compiler of TPUs is the extra tpu'
)


@needs_libtpu
@pytest.mark.parametrize(
  'name, count, island', [('v5e:4x4', 16, 16), ('v4:2x2x2', 8, 8), ('v5e:2x4*2', 16, 8)]
)
def test_a_tpu_topology_has_one_device_a_chip(name, count, island):
  found = topology.find(name)
  assert len(found.devices) == count and found.island == island and found.exact
  assert {device.platform for device in found.devices} == {'tpu'}


def test_gpus_are_stood_in_for_and_that_is_an_estimate():
  found = topology.find('h100:8')
  assert len(found.devices) == 8 and not found.exact and found.chip.name == 'NVIDIA H100'


@pytest.mark.parametrize(
  'name, said',
  [
    ('v5e', 'expected CHIP:SHAPE such as v5e:4x4'),
    ('b300:8', 'expected CHIP:SHAPE such as v5e:4x4'),
    ('v5e:4x4x4', 'a TPU v5e comes as v5e:4x4'),
    ('v5p:4x4', 'a TPU v5p comes as v5p:2x2x4'),
    ('h100:2x4', 'a NVIDIA H100 comes as h100:8'),
    ('h100:0', 'GPUs are counted'),
    ('h100:8*2', 'GPUs are counted'),
  ],
)
def test_an_impossible_name_is_told_what_is_possible(name, said):
  with pytest.raises(ConfigError, match=said.replace('*', r'\*')):
    topology.find(name)


@needs_libtpu
def test_a_shape_that_there_is_not_is_refused_in_the_compilers_words():
  with pytest.raises(ConfigError, match='topology v5e:3x5: .*not divisible'):
    topology.find('v5e:3x5')


def test_without_the_compiler_the_extra_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ConfigError, match=r"pip install 'depthjax\[tpu\]'"):
    topology.find('v5e:4x4')
