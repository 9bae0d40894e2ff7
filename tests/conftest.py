"""Eight CPU devices, a compilation cache that lasts, and no implicit broadcasting in any test."""

import os
import pathlib

import jax
from absl import flags

_CACHE = pathlib.Path(__file__).parents[1] / '.cache' / 'xla'
# The processes that tests start inherit both. Tests compile much and compute little.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_CACHE))
_OPTION = '--xla_backend_optimization_level=0'
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_OPTION}'.strip()

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)

# grain's workers read absl flags; outside of app.run nobody has parsed them.
flags.FLAGS.mark_as_parsed()
