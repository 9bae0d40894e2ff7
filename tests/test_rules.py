"""Rules: the value of the first regex that matches the path of a leaf."""

import re

import jax
import numpy as np
import pytest

from depthjax import rules
from depthjax.configuring import ConfigError

_TREE = {
  'params': {
    'net': {'conv0': {'kernel': np.zeros(3), 'bias': np.zeros(2)}, 'bn': {'scale': np.ones(2)}},
    'head': [np.zeros(1), np.zeros(4)],
  }
}


def test_the_first_match_wins():
  matched = rules.match((('bias$', 'a'), ('net/', None), ('bias', 'c'), ('.*', (1, 2))), _TREE)
  net = {'conv0': {'kernel': None, 'bias': 'a'}, 'bn': {'scale': None}}
  assert matched == {'params': {'net': net, 'head': [(1, 2), (1, 2)]}}


def test_a_path_joins_the_keys_from_the_root():
  net = {'net/bn/scale', 'net/conv0/bias', 'net/conv0/kernel'}
  assert set(rules.by_path(_TREE)) == {f'params/{name}' for name in {'head/0', 'head/1', *net}}
  matched = rules.match((('^params/head/1$', 1), ('^net', 2), ('.*', 0)), _TREE)
  assert matched['params']['head'] == [0, 1]
  assert jax.tree.leaves(matched['params']['net']) == [0, 0, 0]


def test_a_path_that_no_rule_matches_is_an_error():
  message = "no rule matches 'params/head/0' (rules: 'net', 'tail'); add ('.*', value) at the end"
  with pytest.raises(ConfigError, match=re.escape(message)):
    rules.match((('net', 1), ('tail', 2)), _TREE)
