"""Segmenters of glass and mirrors: networks that predict depth, with a logit in its place."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors import published, runs
from depthjax.models.predictors.predictor import Predictor

NETWORKS = 'depthnet', *published.NETWORKS


def describe(fields: Mapping[str, Any], axis_name: str | None = None) -> Predictor:
  """The segmenter of a config's `model` fields, without variables; fields of others are ignored.

  Its network is that of a depth predictor, without a last activation. `axis_name` is the pmap axis
  that batch statistics are averaged over.

  Raises:
    KeyError, TypeError, ValueError: unknown networks, sizes, versions or attributes.
  """
  head = {} if fields['network'] == 'depthnet' else {'act': jax.nn.identity}
  return runs.describe({**fields, **head}, axis_name)._replace(output='logit')


def from_config(config: Mapping[str, Any]) -> tuple[Predictor, Any]:
  """The segmenter of a run, and the shapes of its variables; its input size is that of the frames.

  Raises:
    AttributeError, KeyError, TypeError, ValueError: the config is of another task.
  """
  return published.of_run(describe(config['model']), config)


def initial(segmenter: Predictor, key: jax.Array) -> Any:
  """Randomly initialised variables."""
  image = jnp.zeros((1, segmenter.multiple, segmenter.multiple, 3))
  return segmenter.network.init(key, image, method='predict')


def probability(segmenter: Predictor, variables: Any, image: jax.Array) -> jax.Array:
  """Probability of glass or a mirror [b h w 1] at each pixel.

  `image` [b h w 3] is sRGB in [0, 1] at the network's input size.
  """
  return jax.nn.sigmoid(predictors.output(segmenter, variables, image))
