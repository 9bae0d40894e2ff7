"""The published networks that predict depth, by the `model` fields of a config."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from depthjax.models import layers
from depthjax.models.predictors import depth_anything, dpt, midas
from depthjax.models.predictors.predictor import IMAGENET, Predictor

NETWORKS = {
  'depth_anything': depth_anything.DepthAnything,
  'dpt': dpt.DPT,
  'midas': midas.MiDaS,
}
_HALF = (0.5,) * 3
# Input size, rule and multiple, mean and standard deviation.
_INPUTS = {
  'depth_anything': (depth_anything.SIZE, 'short', depth_anything.PATCH, *IMAGENET),
  'dpt': (dpt.SIZE, 'short', dpt.STRIDE, _HALF, _HALF),
  'midas': (midas.SIZE, 'long', midas.STRIDE, *IMAGENET),
}


def network(fields: Mapping[str, Any], axis_name: str | None = None) -> nn.Module:
  """The network of a config's `model` fields: its name in NETWORKS, and its attributes.

  `axis_name` is the pmap axis that batch statistics are averaged over; only MiDaS has any.

  Raises:
    KeyError, TypeError, ValueError: unknown networks, sizes, versions or attributes.
  """
  fields = dict(fields)
  name = fields.pop('network')
  if name == 'midas':
    fields['axis_name'] = axis_name
  if name == 'depth_anything':
    depth_anything.SIZES[fields['size']].taps[fields['version']]  # KeyError if unknown.
  return NETWORKS[name](**layers.module_fields({'dtype': 'float32', **fields}))


def describe(fields: Mapping[str, Any], axis_name: str | None = None) -> Predictor:
  """The predictor of a config's `model` fields, without variables; as `network`."""
  name, metric = fields['network'], bool(fields.get('max_depth'))
  size, rule, multiple, mean, std = _INPUTS[name]
  return Predictor(
    name,
    network(fields, axis_name),
    size,
    rule,
    multiple,
    output='depth' if metric else 'disparity',
    metric=metric,
    mean=mean,
    std=std,
    resizing='cubic',
  )


def of_run(
  describe: Callable[[Mapping[str, Any]], Predictor], config: Mapping[str, Any]
) -> tuple[Predictor, Any]:
  """The predictor of a run or of a converted checkpoint, and the shapes of its variables.

  `describe` makes it of the config's `model` fields. The input size is that of a run's frames.

  Raises:
    AttributeError, KeyError, TypeError, ValueError: the config is of another task.
  """
  predictor = describe(config['model'])
  if 'data' in config:
    side = max if predictor.input_rule == 'long' else min
    size = side(int(config['data'][name]) for name in ('height', 'width'))
    predictor = predictor._replace(input_size=size)
  return predictor, shapes(predictor.network, predictor.multiple)


def shapes(model: nn.Module, multiple: int) -> Any:
  """The shapes of the variables of a network whose input sizes are multiples of a number."""
  image = jnp.zeros((1, multiple, multiple, 3))
  return jax.eval_shape(functools.partial(model.init, jax.random.key(0), train=False), image)
