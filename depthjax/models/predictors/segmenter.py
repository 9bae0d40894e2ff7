"""Segmenters of glass and mirrors: networks that predict depth, with a logit in its place."""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from depthjax.models.predictors import published, runs
from depthjax.models.predictors.predictor import Predictor


def describe(fields: Mapping[str, Any], axis_name: str | None = None) -> Predictor:
  """The segmenter of a config's `model` fields, without variables; fields of others are ignored.

  Its network is that of a depth predictor, without a last activation; the output is the logit of
  the probability of glass or a mirror. `axis_name` is the pmap axis that batch statistics are
  averaged over.

  Raises ValueError: as runs.describe.
  """
  head = {'act': jax.nn.identity} if fields.get('network') in published.NETWORKS else {}
  return runs.describe({**fields, **head}, axis_name)._replace(output='logit')


# The config of a run -> the segmenter, and the shapes of its variables; by task as in `runs`.
FROM_CONFIG = {'segment': functools.partial(published.of_run, describe)}
