"""The command line: help of every command, without importing jax or numpy."""

import os
import subprocess
import sys

import pytest

from depthjax.commands import runner
from tests import tiny
from tests.commands.conftest import fixture_run  # noqa: F401

_VERBS = (
  'train evaluate plan demo refine refocus depth convert export prepare reproduce score'.split()
)
# In another process, because the tests import everything; in forks of it, because help exits.
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


def test_help_of_every_command_imports_neither_jax_nor_numpy():
  verbs = ['', *_VERBS, 'prepare ebb', 'prepare scenes']
  done = subprocess.run(
    [sys.executable, '-c', _HELP, *verbs], cwd=tiny.ROOT, capture_output=True, text=True
  )
  assert done.stderr == ''
  rest = done.stdout.lower().replace('usage: depthjax [flags]', '')
  for verb in verbs:
    usage, loaded, rest = rest.partition(f'{verb} loaded []\n')
    assert loaded, f'{verb}: {usage}'
    assert verb in ('train', 'evaluate', 'plan') or f'usage: depthjax {verb}'.rstrip() in usage


def test_without_a_command_help_is_printed(run):
  code, out, _ = run('')
  assert code == 0 and all(f' {verb} ' in out for verb in _VERBS)


def test_version_is_that_of_the_package(run):
  assert run('--version') == (0, 'depthjax 0.1.0\n', '')


@pytest.mark.parametrize('cache, expected', [('/a', '/a'), ('', '/b/depthjax/xla')])
def test_compilation_cache_is_set(monkeypatch, cache, expected):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', cache)
  monkeypatch.setenv('XDG_CACHE_HOME', '/b')
  runner.use_compilation_cache()
  assert os.environ['JAX_COMPILATION_CACHE_DIR'] == expected
