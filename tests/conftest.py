"""Eight CPU devices, a compilation cache that lasts, and two tiers of tests.

`make test` runs what is not marked `slow`; `make test-all` runs everything.
"""

import gc
import os
import pathlib

import jax
import jaxlib
import pytest
from absl import flags

_CACHE = pathlib.Path(__file__).parents[1] / '.cache' / 'xla'
# The processes that tests start inherit both. Tests compile much and compute little.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_CACHE))
_OPTIONS = ['--xla_backend_optimization_level=0']
if jaxlib.__version__.startswith('0.10.'):
  # Later versions have but the new emitters, which take twice as long to compile.
  _OPTIONS += ['--xla_cpu_use_fusion_emitters=false', '--xla_cpu_parallel_codegen_split_count=1']
os.environ['XLA_FLAGS'] = ' '.join([os.environ.get('XLA_FLAGS', ''), *_OPTIONS]).strip()

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)

# grain's workers read absl flags; outside of app.run nobody has parsed them.
flags.FLAGS.mark_as_parsed()

# Fault injection, launchers and ahead-of-time plans: folders that are slow as a whole.
_SLOW = [pathlib.Path(__file__).parent / name for name in ('faults', 'launch', 'plan')]


def pytest_collection_modifyitems(items):
  for item in items:
    if any(folder in item.path.parents for folder in _SLOW):
      item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope='module')
def fixture_compiled_programs_end_with_their_module():
  """A worker that kept those of all modules would grow to several GB."""
  yield
  jax.clear_caches()
  gc.collect()
