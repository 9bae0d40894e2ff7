"""Self-distilled depth refinement (SDDR, NeurIPS 2024): two predictions of disparity into one.

The first steps learn from ground truth alone (L_gt); then the model's own coarse-to-fine refinement
gives pseudo-labels of edges for L_grad and L_fusion (eq. 10), under stop-gradient inside the step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax import windows
from depthjax.losses import gbdf
from depthjax.losses import sddr as losses
from depthjax.metrics import depth as depth_metrics
from depthjax.models.refinement import refiners
from depthjax.ops import alignment, disparity, gradients, regions, resize
from depthjax.tasks import pseudo_labels
from depthjax.tasks.task import Env, Task, forward, refuse_frozen

Images = dict[str, jax.Array]
_EDGE = 0.05  # Share of pixels that count as edges in the metric.


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/sddr.py.

  Raises:
    ValueError: a field that the network or the losses cannot take, or a predictor.
  """
  refuse_frozen(env, config.task)
  model = refiners.network(config.model)
  _check(config)
  fields, levels = config.loss.to_dict(), config.data.predictions.levels
  enlarge = config.model.enlarge

  def apply(variables, inputs):
    return _shrunk(model.apply(variables, *_shown(inputs, enlarge), False, False), enlarge)

  def loss(variables, frozen, inputs, key, step):
    del frozen
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, inputs['index'])
    outputs, state = forward(model, variables, *_shown(inputs, enlarge), True, True, keys)
    outputs = _shrunk(outputs, enlarge)
    terms = _supervised(outputs, inputs, keys, fields)
    if fields['gradient'] or fields['fusion']:
      refine, on = _refine(apply, variables), step >= fields['start']
      terms |= _distilled(on, refine, outputs, inputs, keys, {**fields, 'levels': levels})
    return terms, state

  return Task(
    init=lambda key, inputs: model.init(key, *_shown(inputs, enlarge)),
    apply=apply,
    inputs=lambda frozen, records: records,
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def _shrunk(outputs: Images, enlarge: int) -> Images:
  """The network's outputs for maps that it sees enlarged, at the size they would have otherwise."""
  return {name: resize.downsample(x, enlarge) for name, x in outputs.items()}


def _shown(inputs: Images, enlarge: int) -> tuple[jax.Array, jax.Array]:
  """The pair of maps at a multiple of its size, as `depthjax refine` shows it to the network."""
  shape = tuple(enlarge * size for size in inputs['low'].shape[1:3])
  return tuple(resize.upsample(inputs[name], shape) for name in ('low', 'high'))


def _supervised(outputs: Images, inputs: Images, keys: jax.Array, fields: dict) -> Images:
  """What is learned from the first step on, from ground truth, or from the inputs as GBDF does."""
  if fields['supervision'] == 'gbdf':
    return gbdf.losses(outputs, inputs['low'], inputs['high'], keys)
  return {'truth': truth_loss(outputs, inputs, fields['smoothness'])}


def _distilled(
  on: jax.Array,
  refine: pseudo_labels.Refine,
  outputs: Images,
  inputs: Images,
  keys: jax.Array,
  fields: dict[str, Any],
) -> Images:
  """`distillation` where `on`, else zeros, and nothing of it is computed."""

  def wanted(outputs):
    return distillation(refine, outputs, inputs, keys, **fields)

  def none(outputs):
    return dict.fromkeys(('gradient', 'fusion'), jnp.zeros(len(outputs['fusion'])))

  return jax.lax.cond(on, wanted, none, outputs)


def truth_loss(outputs: Images, inputs: Images, smoothness: float) -> jax.Array:
  """L_gt [b] of the result and of the side outputs, against ground truth at their sizes (sum)."""
  total = 0.0
  for name, step in (('fusion', 1), ('half', 2), ('quarter', 4)):
    target, valid = (inputs[x][:, ::step, ::step] for x in ('target', 'valid'))
    total += losses.affine_invariant(outputs[name], target, valid, smoothness=smoothness)
  return total


def distillation(
  refine: pseudo_labels.Refine,
  outputs: Images,
  inputs: Images,
  keys: jax.Array,
  *,
  levels: int,
  **fields: Any,
) -> Images:
  """lambda_1 L_grad and lambda_2 L_fusion [b] against pseudo-labels made on the spot.

  Args:
    keys: of the examples, typed [b]: where K-means starts.
    levels: S of the labels.
    fields: the `loss` fields of a config.
  """
  labels = pseudo_labels.generate(
    refine,
    outputs['fusion'],
    inputs.get('windows'),
    levels=levels,
    sigma=fields['sigma'],
    sigma_range=fields['sigma_range'],
    chunk=fields['chunk'],
  )
  terms = {}
  if fields['label'] == 'disparity':
    everywhere = jnp.ones_like(labels.disparity)
    terms['gradient'] = losses.affine_invariant(outputs['fusion'], labels.disparity, everywhere)
  else:
    edges = edge_regions(labels.gradient, keys, fields)
    # Mean 1 over the edges: it is to weigh as much whatever the range of the disparity.
    unit = _mean(labels.gradient, edges.sum(-1, keepdims=True))[:, None, None, None]
    label = labels.gradient / jnp.maximum(unit, 1e-6)
    terms['gradient'] = losses.gradient(outputs['fusion'], label, edges)
  terms['fusion'] = jnp.zeros(len(labels.gradient))
  if fields['fusion']:
    terms['fusion'] = _fusion(outputs, labels.gradient, fields)
  return {name: fields[name] * x for name, x in terms.items()}


def edge_regions(gradient: jax.Array, keys: jax.Array, fields: dict[str, Any]) -> jax.Array:
  """P_n of eq. 7: the strongest gradients divided into regions, {0, 1} [b h w n]."""
  edges = regions.strongest(gradient, fields['edges'])
  if fields['regions_by'] == 'position':
    return regions.by_position(edges, fields['regions'], keys)
  return regions.by_strength(edges, gradient, fields['regions'])


def metrics(outputs: Images, inputs: Images) -> Images:
  """Of each example [b], after alignment by least squares: of the result and of the low input.

  `rmse`, `delta1` and `rel` of disparity over all that is valid, `edge_rmse` at the true edges
  alone; with `low_` before them those of the initial prediction.
  """
  target, valid = inputs['target'], inputs['valid']
  edges = regions.strongest(gradients.magnitude(target) * valid, _EDGE) * valid
  scores = {}
  for prefix, x in (('', outputs['fusion']), ('low_', inputs['low'])):
    x = alignment.align(x, target, valid)
    scores[f'{prefix}rmse'] = depth_metrics.rmse(x, target, valid)
    scores[f'{prefix}edge_rmse'] = depth_metrics.rmse(x, target, edges)
    scores[f'{prefix}delta1'] = depth_metrics.delta1(x, target, valid)
    scores[f'{prefix}rel'] = depth_metrics.rel(x, target, valid)
  return scores


def pictures(outputs: Images, inputs: Images) -> Images:
  """Low, high, refined, true, error times five and the weight of the high stream, side by side."""
  target = inputs['target']
  refined = alignment.align(outputs['fusion'], target, inputs['valid'])
  error = 5 * jnp.abs(refined - target) * inputs['valid']
  row = [inputs['low'], inputs['high'], refined, target, error]
  if 'mask_half' in outputs:
    row.append(jax.image.resize(1 - outputs['mask_half'], target.shape, 'nearest'))
  row = jnp.concatenate([jnp.clip(x, 0, 1) for x in row], axis=2)
  return {'refinement': jnp.broadcast_to(row, (*row.shape[:3], 3))}


def _refine(apply: Callable, variables: Any) -> pseudo_labels.Refine:
  """The model as it is, for windows."""
  frozen = jax.lax.stop_gradient(variables)

  def refine(low, high):
    refined = apply(frozen, {'low': low, 'high': high})['fusion']
    return disparity.normalise(refined)

  return refine


def _fusion(outputs: Images, gradient: jax.Array, fields: dict[str, Any]) -> jax.Array:
  """L_fusion of both masks, at their sizes; the network's weigh the low stream."""
  total = 0.0
  for name in ('mask_half', 'mask_quarter'):
    omega = 1 - outputs[name]
    label = jax.image.resize(gradient, omega.shape, 'bilinear', antialias=True)
    total += losses.fusion(omega, label, fraction=fields['fraction'], levels=fields['quantiles'])
  return total / 2


def _mean(x: jax.Array, weights: jax.Array) -> jax.Array:
  return (x * weights).sum((1, 2, 3)) / jnp.maximum(weights.sum((1, 2, 3)), 1)


def _check(config: ml_collections.ConfigDict) -> None:
  data, loss = config.data, config.loss
  enlarge = config.model.enlarge
  if not 1 <= enlarge <= 4:
    raise ValueError(f'model.enlarge is {enlarge}; it must be 1 to 4')
  sides = {f'data.{name}': data[name] for name in ('height', 'width')}
  sides['data.predictions.window_size'] = data.predictions.window_size
  for name, side in sides.items():
    if side * enlarge % refiners.STRIDE:
      times = f', times model.enlarge={enlarge},' if enlarge > 1 else ''
      raise ValueError(f'{name} is {side}; it must{times} be a multiple of {refiners.STRIDE}')
  windows.grid((data.height, data.width), data.predictions.levels)
  known = {
    'supervision': ('truth', 'gbdf'),
    'label': ('gradient', 'disparity'),
    'regions_by': ('position', 'strength'),
  }
  if loss.fusion and config.model.network != 'fusenet':
    raise ValueError(f'loss.fusion is {loss.fusion}; {config.model.network} has no masks: 0')
  for name, values in known.items():
    if loss[name] not in values:
      raise ValueError(f'loss.{name} is {loss[name]!r}; it can be {" or ".join(values)}')
  _check_numbers(loss)


def _check_numbers(loss: ml_collections.ConfigDict) -> None:
  for name in ('regions', 'quantiles', 'chunk'):
    if loss[name] < 1:
      raise ValueError(f'loss.{name} is {loss[name]}; it must be at least 1')
  if not loss.sigma > 0:
    raise ValueError(f'loss.sigma is {loss.sigma}; it must be above 0')
  if not 0 < loss.edges <= 1:
    raise ValueError(f'loss.edges is {loss.edges}; a share above 0, at most 1')
  if not 0 < loss.fraction * loss.quantiles <= 0.5:
    wrong = f'loss.fraction is {loss.fraction}, and {loss.quantiles} times it (loss.quantiles)'
    raise ValueError(f'{wrong} must be above 0 and at most 0.5')
