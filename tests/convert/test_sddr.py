"""The released refinement network: names, shapes, round trip, and state dicts that are refused."""

import functools
import json
import pathlib

import jax
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
  sizes = [x.size for x in _tensors().values()]
  assert (len(sizes), sum(sizes)) == (528, 16_765_339)
  sizes = [x.size for _, x in naming.leaves(_variables())]
  assert (len(sizes), sum(sizes)) == (383, 10_302_483)


def test_round_trip():
  variables = sddr.convert(_tensors(), 'file.pt')
  jax.tree.map(np.testing.assert_array_equal, variables, _variables())


@pytest.mark.parametrize(
  'name, other',
  [
    ('en_layer2.bn1.bias', 'encoder.layer_2.bn1.bias'),
    ('cvt.cvt_1.decoder.7.mlp.fc2.weight', 'cross.decoder.7.mlp.fc2.weight'),
  ],
)
def test_missing_and_unequal_duplicates_are_refused(name, other):
  tensors = _tensors()
  duplicate = tensors.pop(name)
  call = lambda: sddr.convert(tensors, 'file.pt')  # noqa: E731
  refused(call, f'file.pt: has no tensor {name!r}; expected exactly the 528 tensors')
  tensors[name] = duplicate + 1
  refused(call, f'file.pt: has different values in {name!r} and {other!r}')


@pytest.mark.parametrize(
  'change, wrong',
  [
    ({'a': None, 'b': None, 'c': None, 'd': None}, "has no tensor 'a', 'b', 'c' and 1 more"),
    ({'x': np.ones(2)}, "has the additional tensor 'x'"),
    ({'b': np.ones(3)}, 'has b as [3]; expected [2]'),
    ({'b': np.full(2, np.inf)}, "holds integers, NaN or infinite values in 'b'"),
    ({'d': np.ones(2, int)}, "holds integers, NaN or infinite values in 'd'"),
  ],
)
def test_another_state_dict_is_refused(change, wrong):
  tensors = dict.fromkeys('abcd', np.ones(2)) | change
  tensors = {name: x for name, x in tensors.items() if x is not None}
  expected = dict.fromkeys('abcd', (2,))
  refused(lambda: naming.check(tensors, expected, 'file.pt', 'right'), f'file.pt: {wrong}')
