"""Networks that fuse two predictions of disparity [b h w 1], by their name in a config."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models.layers import module_fields
from depthjax.models.refinement import fusenet, gbdf

# Height and width must be multiples of this, for GBDF with up to seven levels.
STRIDE = fusenet.STRIDE
_NETWORKS = {'fusenet': fusenet.FuseNet, 'gbdf': gbdf.GradientFusion}


def network(fields: Mapping[str, Any]) -> nn.Module:
  """The network of a config's `model` fields.

  Raises:
    ValueError: unknown `network`.
  """
  name = fields.get('network', 'fusenet')
  if name not in _NETWORKS:
    raise ValueError(f'model.network is {name!r}; it can be {" or ".join(_NETWORKS)}')
  # A config has the fields of both networks.
  fields = {x: value for x, value in fields.items() if x in _NETWORKS[name].__annotations__}
  return _NETWORKS[name](**module_fields(fields))


def stride(model: nn.Module) -> int:
  """The number that height and width of the network's maps must be multiples of."""
  return max(STRIDE, 2**model.levels) if isinstance(model, gbdf.GradientFusion) else STRIDE


def from_config(config: Mapping[str, Any]) -> tuple[tuple[nn.Module, int, int], Any]:
  """((network, long side of the training maps in px, factor that enlarges them), variable shapes).

  The shapes are those of the network's variables. Raises AttributeError, KeyError, TypeError or
  ValueError for a config of another task.
  """
  model, data = network(config['model']), config['data']
  size, enlarge = max(int(data['height']), int(data['width'])), config['model'].get('enlarge', 1)
  shapes = jax.eval_shape(functools.partial(initial, model, size * enlarge))
  return (model, size, enlarge), shapes


def initial(model: nn.Module, size: int = STRIDE) -> dict[str, Any]:
  """Randomly initialised variables of the network, by maps of `size` x `size` pixels."""
  x = jnp.zeros((1, size, size, 1))
  return model.init(jax.random.key(0), x, x)
