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
  assert matched == {
    'params': {
      'net': {'conv0': {'kernel': None, 'bias': 'a'}, 'bn': {'scale': None}},
      'head': [(1, 2), (1, 2)],
    }
  }


def test_a_path_joins_the_keys_from_the_root():
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


def test_a_path_that_no_rule_matches_is_an_error():
  message = "no rule matches 'params/head/0' (rules: 'net', 'tail'); add ('.*', value) at the end"
  with pytest.raises(ConfigError, match=re.escape(message)):
    rules.match((('net', 1), ('tail', 2)), _TREE)


def test_an_invalid_pattern_is_an_error_even_if_another_rule_matches():
  with pytest.raises(
    ConfigError, match=re.escape("the rule '(net' is not a valid regular expression: ")
  ):
    rules.match((('.*', 1), ('(net', 2)), _TREE)
