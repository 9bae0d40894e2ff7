"""Which parameters? The first rule that matches a path."""

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
  matched = rules.match((('bias$', 'a'), ('net/', 'b'), ('bias', 'c'), ('.*', 'd')), _TREE)
  assert matched == {
    'params': {
      'net': {'conv0': {'kernel': 'b', 'bias': 'a'}, 'bn': {'scale': 'b'}},
      'head': ['d', 'd'],
    }
  }


def test_a_path_is_its_keys_from_the_root():
  names = [rules.path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(_TREE)]
  assert sorted(names) == [
    'params/head/0',
    'params/head/1',
    'params/net/bn/scale',
    'params/net/conv0/bias',
    'params/net/conv0/kernel',
  ]
  matched = rules.match((('^params/head/1$', 1), ('^net', 2), ('.*', 0)), _TREE)
  assert matched['params']['head'] == [0, 1]
  assert jax.tree.leaves(matched['params']['net']) == [0, 0, 0]


def test_values_may_be_anything():
  matched = rules.match((('kernel', None), ('.*', (1, 2))), {'kernel': 0, 'bias': 0})
  assert matched == {'kernel': None, 'bias': (1, 2)}


def test_a_path_without_a_rule_is_an_error():
  message = "no rule matches 'params/head/0' (rules: 'net', 'tail'); end with ('.*', value)"
  with pytest.raises(ConfigError, match=re.escape(message)):
    rules.match((('net', 1), ('tail', 2)), _TREE)


def test_a_pattern_that_is_none_is_an_error_even_where_another_matches():
  with pytest.raises(ConfigError, match=re.escape("the rule '(net' is no regular expression: ")):
    rules.match((('.*', 1), ('(net', 2)), _TREE)
