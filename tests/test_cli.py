"""The command line itself: help for every verb, at once and without loading anything."""

import os
import subprocess
import sys

import pytest

from depthjax.commands import runner
from tests import tiny
from tests.commands.conftest import fixture_run  # noqa: F401

_VERBS = 'train evaluate plan demo refine refocus depth convert prepare reproduce score'.split()
# In a process of its own, as the tests have imported everything; in forks of it, as help exits.
_HELP = """
import os, sys
from depthjax import cli
for verb in sys.argv[1:]:
  child = os.fork()
  if not child:
    sys.argv = ['depthjax', *verb.split(), '--help']
    try:
      cli.main()
    finally:
      heavy = {'jax', 'flax', 'numpy', 'cv2', 'grain', 'orbax', 'tensorflow_datasets', 'torch'}
      print(verb, 'loaded', sorted(heavy & sys.modules.keys()))
  os.waitpid(child, 0)
"""


def test_every_verb_has_help_that_loads_neither_jax_nor_numpy():
  verbs = ['', *_VERBS, 'prepare ebb', 'prepare scenes']
  done = subprocess.run(
    [sys.executable, '-c', _HELP, *verbs], cwd=tiny.ROOT, capture_output=True, text=True
  )
  assert done.stderr == ''
  told = done.stdout.lower().replace('usage: depthjax [flags]', '')
  for verb in verbs:
    usage, loaded, told = told.partition(f'{verb} loaded []\n')
    assert loaded, f'{verb}: {usage}'
    assert verb in ('train', 'evaluate', 'plan') or f'usage: depthjax {verb}'.rstrip() in usage


def test_without_a_command_there_is_help(run):
  code, out, _ = run('')
  assert code == 0 and all(f' {verb} ' in out for verb in _VERBS)


@pytest.mark.parametrize(
  'variables, expected',
  [
    ({'JAX_COMPILATION_CACHE_DIR': '/a'}, '/a'),
    ({'JAX_COMPILATION_CACHE_DIR': '', 'XDG_CACHE_HOME': '/b'}, '/b/depthjax/xla'),
  ],
)
def test_compiled_programs_are_kept(monkeypatch, variables, expected):
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  runner.use_compilation_cache()
  assert os.environ['JAX_COMPILATION_CACHE_DIR'] == expected
