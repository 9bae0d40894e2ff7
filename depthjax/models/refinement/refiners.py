"""Networks that refine disparity, by the name in a config: two predictions [b h w 1] into one."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models.refinement import fusenet, gbdf

# Multiples of this take both, GBDF of up to seven levels.
STRIDE = fusenet.STRIDE
_FIELDS = {
  'fusenet': ('stem', 'widths', 'depths', 'attention', 'drop'),
  'gbdf': ('levels', 'width'),
}
_NETWORKS = {'fusenet': fusenet.FuseNet, 'gbdf': gbdf.GradientFusion}


def network(fields: Mapping[str, Any]) -> nn.Module:
  """The network of a config's `model` fields.

  Raises:
    ValueError: there is none of that name.
  """
  name = fields.get('network', 'fusenet')
  if name not in _NETWORKS:
    raise ValueError(f'model.network is {name!r}; it can be {" or ".join(_NETWORKS)}')
  own = {field: fields[field] for field in (*_FIELDS[name], 'remat') if field in fields}
  # Lists of a stored config cannot be hashed.
  own = {field: tuple(x) if isinstance(x, list) else x for field, x in own.items()}
  return _NETWORKS[name](**own, dtype=jnp.dtype(fields['dtype']))


def stride(model: nn.Module) -> int:
  """What the sides of a network's maps must be multiples of, at least STRIDE."""
  return max(STRIDE, 2**model.levels) if isinstance(model, gbdf.GradientFusion) else STRIDE


def described(config: Mapping[str, Any]) -> tuple[tuple[nn.Module, int, int], Any]:
  """What a run trains, by its whole config: ((network, side of pictures, px, enlarged), variables).

  The network sees pictures `enlarged` times. The variables are shapes alone. A config of something
  else ends in whatever it lacks.
  """
  model, data = network(config['model']), config['data']
  side, enlarged = max(int(data['height']), int(data['width'])), config['model'].get('enlarge', 1)
  variables = jax.eval_shape(functools.partial(initial, model, side * enlarged))
  return (model, side, enlarged), variables


def initial(model: nn.Module, side: int = STRIDE) -> dict[str, Any]:
  """Variables of any value, of the shapes that the network has."""
  x = jnp.zeros((1, side, side, 1))
  return model.init(jax.random.key(0), x, x)
