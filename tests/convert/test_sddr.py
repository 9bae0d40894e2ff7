"""The released refinement network: its names and shapes, both ways, and what is refused."""

import functools
import json
import pathlib

import numpy as np
import pytest

from depthjax.convert import naming, sddr
from depthjax.files.errors import InputError
from depthjax.models.refinement.refiners import from_config

_KEYS = pathlib.Path(__file__).parents[3] / 'shared' / 'specs' / 'keys' / 'sddr.json'


@functools.cache
def _variables():
  """Variables of the released shapes; no two arrays are alike."""
  rng, tree = np.random.default_rng(0), {}
  for path, x in naming.leaves(from_config(sddr.CONFIG)[1]):
    naming.put(tree, path, rng.standard_normal(x.shape, dtype=np.float32))
  return tree


def _tensors():
  return sddr.to_state_dict(_variables())


def test_names_and_shapes_are_those_of_the_release():
  if not _KEYS.exists():
    pytest.skip(f'{_KEYS} is not here')
  expected = json.loads(_KEYS.read_text(encoding='utf-8'))
  assert {name: list(x.shape) for name, x in _tensors().items()} == expected


def test_tensors_are_counted_as_in_the_paper():
  """Its 16.763 M parameters count two names of one tensor twice, and no group norms."""
  tensors = _tensors()
  assert len(tensors) == 528
  assert sum(x.size for x in tensors.values()) == 16_765_339
  distinct = {id(x): x.size for x in tensors.values()}
  assert len(distinct) == 383 and sum(distinct.values()) == 10_302_483


def test_there_and_back_is_the_same():
  variables = sddr.convert(_tensors(), 'file.pt')
  assert dict(naming.leaves(variables)).keys() == dict(naming.leaves(_variables())).keys()
  for path, x in naming.leaves(_variables()):
    np.testing.assert_array_equal(functools.reduce(dict.__getitem__, path, variables), x)


def test_no_two_arrays_get_one_name():
  names = {id(x) for x in _tensors().values()}
  assert len(names) == len(list(naming.leaves(_variables())))


def _changed(**changes):
  tensors = _tensors()
  for name, change in changes.items():
    name = name.replace('__', '.')
    tensors[name] = change(tensors[name])
  return tensors


def _without(*parts):
  return {name: x for name, x in _tensors().items() if not name.startswith(parts)}


_BAD = {
  'missing': (
    lambda: _without('mid_out_half.', 'grad.'),
    "has no 'grad.bias', 'grad.weight', 'mid_out_half.0.bias' and 3 more; expected the 528 tensors",
  ),
  'bare of second names': (lambda: _without('cvt.'), "has no 'cvt.cvt_1..* and 106 more"),
  'too many': (
    lambda: {**_tensors(), 'decoder.layer_7.0.weight': np.ones(8)},
    "holds 'decoder.layer_7.0.weight' too; expected nothing but",
  ),
  'another shape': (
    lambda: _changed(grad__weight=lambda x: x[..., :3]),
    r'has grad.weight as \[1, 1, 5, 3\]; expected \[1, 1, 5, 5\]',
  ),
  'not finite': (
    lambda: _changed(grad__bias=lambda x: x * np.nan),
    "holds NaN or infinite values in 'grad.bias'",
  ),
  'whole numbers': (
    lambda: _changed(grad__bias=lambda x: x.astype(np.int64)),
    "holds whole numbers in 'grad.bias'",
  ),
  'a stem that differs': (
    lambda: _changed(en_layer2__bn1__bias=lambda x: x + 1),
    "has other values in 'en_layer2.bn1.bias' than in 'encoder.layer_2.bn1.bias'; expected the",
  ),
  'an attention that differs': (
    lambda: _changed(cross__decoder__7__mlp__fc2__weight=lambda x: 2 * x),
    "in 'cvt.cvt_1.decoder.7.mlp.fc2.weight' than in 'cross.decoder.7.mlp.fc2.weight'",
  ),
}


@pytest.mark.parametrize('case', _BAD)
def test_anything_else_is_refused_by_the_tensor(case):
  make, message = _BAD[case]
  with pytest.raises(InputError, match='^file.pt: .*' + message):
    sddr.convert(make(), 'file.pt')
