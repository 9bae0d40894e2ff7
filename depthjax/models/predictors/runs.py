"""Predictors of training runs and of converted checkpoints, by their task."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from depthjax import plugins
from depthjax.models.deeplens import depthnet
from depthjax.models.predictors import published, unet
from depthjax.models.predictors.predictor import Predictor

NETWORKS = 'depthnet', 'unet', *published.NETWORKS
# Fields of a config's `model` that not all networks have.
_OWN = {
  'depthnet': ('width', 'input', 'stride_on', 'momentum', 'renorm'),
  'unet': ('width',),
  'depth_anything': ('size', 'version'),
}


def describe(fields: Mapping[str, Any], axis_name: str | None = None) -> Predictor:
  """The predictor of a config's `model` fields: of published.describe, 'depthnet' or 'unet'.

  Fields that only other networks have are ignored.

  Raises ValueError: unknown networks, sizes, versions or attributes.
  """
  try:
    name = fields['network']
    others = {field for own in _OWN.values() for field in own}.difference(_OWN.get(name, ()))
    fields = {field: value for field, value in fields.items() if field not in others}
    if name in published.NETWORKS:
      return published.describe(fields, axis_name)
    module = {'depthnet': depthnet, 'unet': unet}[fields.pop('network')]
    model = module.network(fields, axis_name=axis_name)
  except (KeyError, TypeError) as error:
    known = ', '.join(NETWORKS)
    raise ValueError(f'model is not the description of one of {known} ({error})') from error
  return Predictor(name, model, module.SIZE, multiple=module.STRIDE)


def _depthnet(fields: Mapping[str, Any]) -> Predictor:
  return describe({**fields, 'network': 'depthnet'})._replace(name='deeplens_depth')


class _FromConfig(dict):
  """Finds the predictors of other packages too: of the task's name, or in the task's module."""

  def __missing__(self, task: str) -> Callable[[Mapping[str, Any]], tuple[Predictor, Any]]:
    own = task in plugins.names('models')
    name = task if own else plugins.reference('tasks', task).partition(':')[0]
    try:
      return plugins.find('models', name, 'task', {})
    except ValueError as error:
      raise KeyError(task) from error


# For each task: the config of a run -> the predictor, and the shapes of its variables.
FROM_CONFIG: Mapping[str, Callable[[Mapping[str, Any]], tuple[Predictor, Any]]] = _FromConfig(
  deeplens_depth=functools.partial(published.of_run, _depthnet),
  monocular=functools.partial(published.of_run, published.describe),
  tom=functools.partial(published.of_run, describe),
)
