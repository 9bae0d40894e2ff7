"""depthjax: depth for photographers, as pure functions in JAX and Flax.

The functions are described in docs/api.md. Each is imported on first use: `import depthjax` alone
imports no jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from depthjax.api import Prediction as Prediction
  from depthjax.api import load_predictor as load_predictor
  from depthjax.api import mask_refine as mask_refine
  from depthjax.api import predict_depth as predict_depth
  from depthjax.api import refine as refine
  from depthjax.api import refocus as refocus
  from depthjax.api import virtual_label as virtual_label
  from depthjax.files.errors import Error as Error
  from depthjax.pipelines.networks import Network as Network
  from depthjax.pipelines.networks import export as export
  from depthjax.pipelines.networks import load as load

__version__ = '0.1.0'
# Public names and the modules that define them.
_MODULES = {
  'Error': 'files.errors',
  **dict.fromkeys(('Prediction', 'load_predictor', 'mask_refine', 'predict_depth'), 'api'),
  **dict.fromkeys(('refine', 'refocus', 'virtual_label'), 'api'),
  **dict.fromkeys(('Network', 'export', 'load'), 'pipelines.networks'),
}


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
  return sorted({*globals(), *_MODULES})
