"""Self-distilled depth refinement (SDDR, NeurIPS 2024): fuses two predictions of disparity.

The first steps minimise L_gt, against ground truth. From step `loss.start` on, L_grad and L_fusion
are added (eq. 10): their pseudo-labels are edges of the model's own coarse-to-fine refinement,
computed within the step under stop_gradient.
"""

import functools
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
from depthjax.tasks.task import Env, Task, forward

Images = dict[str, jax.Array]
_EDGE_FRACTION = 0.05  # Of the pixels, for edge_rmse.
# Values of the `loss` fields that name something.
_CHOICES = {
  'supervision': ('truth', 'gbdf'),
  'label': ('gradient', 'disparity'),
  'regions_by': ('position', 'strength'),
}


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/sddr.py.

  Raises:
    ValueError: invalid `model`, `loss` or `data` fields.
  """
  del env
  model = refiners.network(config.model)
  _check(config)
  fields, levels = config.loss.to_dict(), config.data.predictions.levels
  enlarge = config.model.enlarge

  def apply(variables, inputs):
    return _shrink(model.apply(variables, *_enlarge(inputs, enlarge), False, False), enlarge)

  def loss(variables, frozen, inputs, key, step):
    del frozen
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, inputs['index'])
    outputs, state = forward(model, variables, *_enlarge(inputs, enlarge), True, True, keys)
    outputs = _shrink(outputs, enlarge)
    if fields['supervision'] == 'gbdf':
      terms = gbdf.losses(outputs, inputs['low'], inputs['high'], keys)
    else:
      terms = {'truth': truth_loss(outputs, inputs, fields['smoothness'])}
    if not fields['gradient'] and not fields['fusion']:
      return terms, state
    zeros = dict.fromkeys(('gradient', 'fusion'), jnp.zeros(len(keys)))
    options = {'inputs': inputs, 'keys': keys, 'levels': levels, **fields}
    distil = functools.partial(distillation, _refine(apply, variables), **options)
    return terms | jax.lax.cond(step >= fields['start'], distil, lambda _: zeros, outputs), state

  return Task(
    init=lambda key, inputs: model.init(key, *_enlarge(inputs, enlarge)),
    apply=apply,
    inputs=lambda frozen, records: records,
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def _enlarge(inputs: Images, enlarge: int) -> tuple[jax.Array, jax.Array]:
  """The low and the high map at a multiple of their size, as `depthjax refine` enlarges them."""
  shape = tuple(enlarge * size for size in inputs['low'].shape[1:3])
  return tuple(resize.upsample(inputs[name], shape) for name in ('low', 'high'))


def _shrink(outputs: Images, enlarge: int) -> Images:
  """The outputs for enlarged maps at the size for maps that are not."""
  return {name: resize.downsample(x, enlarge) for name, x in outputs.items()}


def truth_loss(outputs: Images, inputs: Images, smoothness: float) -> jax.Array:
  """L_gt [b], summed over the result and the side outputs, against ground truth at their sizes."""
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
  """lambda_1 L_grad and lambda_2 L_fusion [b] against pseudo-labels.

  Args:
    refine: the model with frozen variables, for the labels.
    outputs: of the network.
    inputs: of the task.
    keys: the examples' typed keys [b], to initialise K-means.
    levels: S of the labels.
    fields: the `loss` fields of a config.
  """
  options = {name: fields[name] for name in ('sigma', 'sigma_range', 'chunk')}
  labels = pseudo_labels.generate(
    refine, outputs['fusion'], inputs.get('windows'), levels=levels, **options
  )
  terms = {}
  if fields['label'] == 'disparity':
    valid = jnp.ones_like(labels.disparity)
    terms['gradient'] = losses.affine_invariant(outputs['fusion'], labels.disparity, valid)
  else:
    edges = edge_regions(labels.gradient, keys, fields)
    # Normalised so that the loss does not depend on the range of the disparity.
    unit = _mean(labels.gradient, edges.sum(-1, keepdims=True))[:, None, None, None]
    label = labels.gradient / jnp.maximum(unit, 1e-6)
    terms['gradient'] = losses.gradient(outputs['fusion'], label, edges)
  terms['fusion'] = jnp.zeros(len(labels.gradient))
  if fields['fusion']:
    terms['fusion'] = _fusion(outputs, labels.gradient, fields)
  return {name: fields[name] * x for name, x in terms.items()}


def edge_regions(gradient: jax.Array, keys: jax.Array, fields: dict[str, Any]) -> jax.Array:
  """P_n of eq. 7: masks [b h w n] of the strongest gradients, divided into n regions."""
  edges = regions.strongest(gradient, fields['edges'])
  if fields['regions_by'] == 'position':
    return regions.by_position(edges, fields['regions'], keys)
  return regions.by_strength(edges, gradient, fields['regions'])


def metrics(outputs: Images, inputs: Images) -> Images:
  """Metrics of each example [b], after alignment by least squares.

  `rmse`, `delta1` and `rel` of disparity over valid pixels, `edge_rmse` over true edges; with the
  prefix `low_` those of the low input instead of the result.
  """
  target, valid = inputs['target'], inputs['valid']
  edges = regions.strongest(gradients.magnitude(target) * valid, _EDGE_FRACTION) * valid
  scores = {}
  for prefix, x in (('', outputs['fusion']), ('low_', inputs['low'])):
    x = alignment.align(x, target, valid)
    scores[f'{prefix}rmse'] = depth_metrics.rmse(x, target, valid)
    scores[f'{prefix}edge_rmse'] = depth_metrics.rmse(x, target, edges)
    scores[f'{prefix}delta1'] = depth_metrics.delta1(x, target, valid)
    scores[f'{prefix}rel'] = depth_metrics.rel(x, target, valid)
  return scores


def pictures(outputs: Images, inputs: Images) -> Images:
  """Low, high, refined and true disparity, error times 5, weight of the high stream: in a row."""
  target = inputs['target']
  refined = alignment.align(outputs['fusion'], target, inputs['valid'])
  error = 5 * jnp.abs(refined - target) * inputs['valid']
  row = [inputs['low'], inputs['high'], refined, target, error]
  if 'mask_half' in outputs:
    row.append(jax.image.resize(1 - outputs['mask_half'], target.shape, 'nearest'))
  row = jnp.concatenate([jnp.clip(x, 0, 1) for x in row], axis=2)
  return {'refinement': jnp.broadcast_to(row, (*row.shape[:3], 3))}


def _refine(apply: Callable, variables: Any) -> pseudo_labels.Refine:
  """The model with frozen variables, for windows."""
  frozen = jax.lax.stop_gradient(variables)

  def refine(low, high):
    refined = apply(frozen, {'low': low, 'high': high})['fusion']
    return disparity.normalise(refined)

  return refine


def _fusion(outputs: Images, gradient: jax.Array, fields: dict[str, Any]) -> jax.Array:
  """L_fusion of both masks, at their sizes; Omega is the weight of the high stream."""
  total = 0.0
  for name in ('mask_half', 'mask_quarter'):
    omega = 1 - outputs[name]
    label = resize.resample(gradient, omega.shape[1:3])
    total += losses.fusion(omega, label, fraction=fields['fraction'], levels=fields['quantiles'])
  return total / 2


def _mean(x: jax.Array, weights: jax.Array) -> jax.Array:
  return (x * weights).sum((1, 2, 3)) / jnp.maximum(weights.sum((1, 2, 3)), 1)


def _check(config: ml_collections.ConfigDict) -> None:
  data, loss, enlarge = config.data, config.loss, config.model.enlarge
  if not 1 <= enlarge <= 4:
    raise ValueError(f'model.enlarge is {enlarge}; it must be 1 to 4')
  sizes = {f'data.{name}': data[name] for name in ('height', 'width')}
  sizes['data.predictions.window_size'] = data.predictions.window_size
  for name, size in sizes.items():
    if size * enlarge % refiners.STRIDE:
      times = f', times model.enlarge={enlarge},' if enlarge > 1 else ''
      raise ValueError(f'{name} is {size}; it must{times} be a multiple of {refiners.STRIDE}')
  windows.grid((data.height, data.width), data.predictions.levels)
  if loss.fusion and config.model.network != 'fusenet':
    network = config.model.network
    raise ValueError(f'loss.fusion is {loss.fusion}; it must be 0 for {network}, without masks')
  for name, values in _CHOICES.items():
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
    raise ValueError(f'loss.edges is {loss.edges}; it must be above 0 and at most 1')
  if not 0 < loss.fraction * loss.quantiles <= 0.5:
    wrong = f'loss.fraction is {loss.fraction} and loss.quantiles {loss.quantiles}'
    raise ValueError(f'{wrong}; their product must be above 0 and at most 0.5')
