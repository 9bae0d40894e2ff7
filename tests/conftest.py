"""Eight CPU devices, a persistent compilation cache, and two tiers of tests.

`make test` skips tests marked `slow`; `make test-all` runs everything.
"""

import gc
import os
import pathlib
import signal

import jax
import jaxlib
import pytest

_CACHE = pathlib.Path(__file__).parents[1] / '.cache' / 'xla'
# Processes that tests start inherit these. Tests compile much and compute little.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_CACHE))
_OPTIONS = ['--xla_backend_optimization_level=0']
if jaxlib.__version__.startswith('0.10.'):
  # The older emitters compile twice as fast; later versions have no such choice.
  _OPTIONS += ['--xla_cpu_use_fusion_emitters=false', '--xla_cpu_parallel_codegen_split_count=1']
os.environ['XLA_FLAGS'] = ' '.join([os.environ.get('XLA_FLAGS', ''), *_OPTIONS]).strip()

# A shell starts background jobs with SIGINT ignored, and processes that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)

# Fault injection, launchers and ahead-of-time plans: all tests of these folders are slow.
_SLOW = [pathlib.Path(__file__).parent / name for name in ('faults', 'launch', 'plan')]


def pytest_collection_modifyitems(items):
  for item in items:
    if any(folder in item.path.parents for folder in _SLOW):
      item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope='module')
def fixture_clear_compiled_programs():
  """Without it a worker would grow to several GB."""
  yield
  jax.clear_caches()
  gc.collect()
