"""The released refinement network: names, shapes, round trip, and state dicts that are refused."""

import functools
import json
import pathlib

import numpy as np
import pytest

from depthjax.convert import naming, sddr
from depthjax.models.refinement.refiners import from_config
from tests.messages import refused

_KEYS = pathlib.Path(__file__).parents[3] / 'shared' / 'specs' / 'keys' / 'sddr.json'


@functools.cache
def _variables():
  """Random variables of the released shapes."""
  rng, tree = np.random.default_rng(0), {}
  for path, x in naming.leaves(from_config(sddr.CONFIG)[1]):
    naming.put(tree, path, rng.standard_normal(x.shape, dtype=np.float32))
  return tree


def _tensors():
  return sddr.to_state_dict(_variables())


@pytest.mark.skipif(not _KEYS.exists(), reason=f'{_KEYS} does not exist')
def test_names_and_shapes_equal_the_release():
  expected = json.loads(_KEYS.read_text(encoding='utf-8'))
  assert {name: list(x.shape) for name, x in _tensors().items()} == expected


def test_number_of_parameters():
  """The 16.763 M parameters of the paper include duplicates, but not group norms."""
  tensors = _tensors()
  assert len(tensors) == 528
  assert sum(x.size for x in tensors.values()) == 16_765_339
  distinct = {id(x): x.size for x in tensors.values()}
  assert len(distinct) == len(list(naming.leaves(_variables()))) == 383
  assert sum(distinct.values()) == 10_302_483


def test_round_trip():
  variables = dict(naming.leaves(sddr.convert(_tensors(), 'file.pt')))
  expected = dict(naming.leaves(_variables()))
  assert variables.keys() == expected.keys()
  for path, x in expected.items():
    np.testing.assert_array_equal(variables[path], x)


_STEM, _ATTENTION = 'en_layer2.bn1.bias', 'cross.decoder.7.mlp.fc2.weight'
_BAD = {
  'missing': (
    lambda x: {n: v for n, v in x.items() if not n.startswith(('mid_out_half.', 'grad.'))},
    "has no tensor 'grad.bias', 'grad.weight', 'mid_out_half.0.bias' and 3 more; expected exactly",
  ),
  'missing duplicates': (
    lambda x: {n: v for n, v in x.items() if not n.startswith('cvt.')},
    ' and 106 more; expected exactly the 528 tensors',
  ),
  'additional': (lambda x: x | {'a.weight': np.ones(8)}, "has the additional tensor 'a.weight'; "),
  'another shape': (
    lambda x: x | {'grad.weight': x['grad.weight'][..., :3]},
    'has grad.weight as [1, 1, 5, 3]; expected [1, 1, 5, 5]',
  ),
  'NaN': (lambda x: x | {'grad.bias': x['grad.bias'] * np.nan}, "values in 'grad.bias'"),
  'integers': (lambda x: x | {'grad.bias': np.ones(1, int)}, 'integers, NaN or infinite values in'),
  'unequal stem': (
    lambda x: x | {_STEM: x[_STEM] + 1},
    f"has different values in '{_STEM}' and 'encoder.layer_2.bn1.bias'; expected equal",
  ),
  'unequal attention': (
    lambda x: x | {_ATTENTION: 2 * x[_ATTENTION]},
    f"in 'cvt.cvt_1{_ATTENTION.removeprefix('cross')}' and '{_ATTENTION}'",
  ),
}


@pytest.mark.parametrize('case', _BAD)
def test_another_state_dict_is_refused(case):
  change, message = _BAD[case]
  refused(lambda: sddr.convert(change(_tensors()), 'file.pt'), 'file.pt: ', message)
