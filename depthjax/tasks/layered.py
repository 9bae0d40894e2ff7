"""Mask-guided layered depth refinement (Kim et al., CVPR 2022): two complete layers of a scene.

The network sees the photograph, a wrong disparity and a mask, and predicts the complete disparity
of either side of the mask. Before step `loss.start` it completes instead: each call sees the true
disparity of its side alone.
"""

import functools

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import layered as losses
from depthjax.metrics import depth as depth_metrics
from depthjax.metrics import masks as mask_metrics
from depthjax.models import layered
from depthjax.tasks import scene
from depthjax.tasks.task import Env, Task, forward

Images = dict[str, jax.Array]
_BAND = 6 / 320  # Radius of the band along the border of a mask, as a fraction of the long side.


def make(config: ml_collections.ConfigDict, env: Env) -> Task:
  """The task of a config with the fields of configs/layered.py.

  Raises:
    ValueError: an unknown preset or field of the network, unsupported frame size.
  """
  try:
    model = layered.network(config.model.to_dict(), axis_name=env.axis_name)
  except (KeyError, TypeError) as error:
    known = ', '.join(layered.PRESETS)
    raise ValueError(f'model.preset must be one of {known}, with its fields ({error})') from error
  scene.check_frame(config.data, layered.STRIDE)
  fields = config.loss.to_dict()
  start, two = fields.pop('start'), fields.pop('layers')

  def inputs(frozen, records):
    del frozen
    records = {**records, 'image': records['image'] / jnp.float32(255)}
    if two:
      return records
    true, known = truth(records)  # The visible disparity in place of both layers.
    return {**records, 'target': true, 'rest': true, 'target_valid': known, 'rest_valid': known}

  def apply(variables, inputs):
    disparity = inputs['seen'] if start < config.steps else completed(inputs)
    layers = model.apply(variables, inputs['image'], disparity, inputs['mask'])
    return outputs(layers if two else layers[:1] * 2, inputs)

  def loss(variables, frozen, inputs, key, step):
    del frozen
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, inputs['index'])
    disparity = jnp.where(step < start, completed(inputs), inputs['seen'])
    arguments = inputs['image'], disparity, inputs['mask']
    predicted, state = forward(model, variables, *arguments, True, keys)
    predicted = predicted if two else predicted[:1] * 2
    return terms(outputs(predicted, inputs), inputs, **fields), state

  return Task(
    init=lambda key, inputs: model.init(key, *(inputs[x] for x in ('image', 'seen', 'mask'))),
    apply=apply,
    inputs=inputs,
    loss=loss,
    metrics=metrics,
    pictures=pictures,
  )


def completed(inputs: Images) -> jax.Array:
  """The true disparity of the mask's side and of the other one, 0 elsewhere: [b h w 2]."""
  kept = inputs['mask'] > 0.5
  sides = jnp.where(kept, inputs['target'], 0), jnp.where(kept, 0, inputs['rest'])
  return jnp.concatenate(sides, axis=-1)


def outputs(layers: tuple[jax.Array, jax.Array], inputs: Images) -> Images:
  """Both layers and their composites by the true matte and by the hardened mask: [b h w 1]."""
  target, rest = layers
  return {
    'target': target,
    'rest': rest,
    'blended': inputs['matte'] * target + (1 - inputs['matte']) * rest,
    'composite': jnp.where(inputs['mask'] > 0.5, target, rest),
  }


def truth(inputs: Images) -> tuple[jax.Array, jax.Array]:
  """The true disparity of the scene, and 1 where it is known: [b h w 1]."""
  matte = inputs['matte']
  true = matte * inputs['target'] + (1 - matte) * inputs['rest']
  known = matte * inputs['target_valid'] + (1 - matte) * inputs['rest_valid']
  return true, (known > 0.999).astype(jnp.float32)


def terms(
  predicted: Images, inputs: Images, *, gradient: float, hidden: float, edge: float, blended: float
) -> Images:
  """The terms of the loss for each example [b].

  `gradient` is the weight of gradients of errors; `hidden` that of a layer's pixels behind the
  other one, `edge` that of pixels along the border; `blended` the weight of the composite.
  """
  kept = inputs['mask'] > 0.5
  border = losses.band(inputs['mask'], max(1, round(_BAND * max(kept.shape[1:3]))))
  result, side = {}, functools.partial(losses.layer, gradient=gradient)
  for name, own in (('target', kept), ('rest', ~kept)):
    weight = jnp.where(border > 0, edge, jnp.where(own, 1.0, hidden))
    result[name] = side(predicted[name], inputs[name], inputs[f'{name}_valid'], weight)
  true, known = truth(inputs)
  composite = losses.composite(predicted['blended'], true, known, gradient=gradient)
  return {**result, 'composite': blended * composite}


def metrics(predicted: Images, inputs: Images) -> Images:
  """Scores of each example: errors of the composite, and of both layers where they are hidden.

  `mbe` is within 5 pixels of the mask's border, `mbe_seen` that of the disparity before refinement,
  `improved` and `harmed` are the counts of metrics.masks.r3.
  """
  true, known = truth(inputs)
  composite, mask = predicted['composite'], inputs['mask']
  counts = mask_metrics.r3(inputs['seen'], composite, true, known)
  hidden = [
    depth_metrics.rmse(predicted[name], inputs[name], own * inputs[f'{name}_valid'])
    for name, own in (('target', mask <= 0.5), ('rest', mask > 0.5))
  ]
  return {
    'rmse': depth_metrics.rmse(composite, true, known),
    'mbe': mask_metrics.mbe(composite, true, mask, known),
    'mbe_seen': mask_metrics.mbe(inputs['seen'], true, mask, known),
    'improved': counts.improved,
    'harmed': counts.harmed,
    'rmse_outside': hidden[0],
    'rmse_behind': hidden[1],
  }


def pictures(predicted: Images, inputs: Images) -> Images:
  """Image, mask, seen, refined and true disparity, and the two predicted layers, side by side."""
  row = [inputs['mask'], inputs['seen'], predicted['composite'], truth(inputs)[0]]
  row += [predicted['target'], predicted['rest']]
  row = [jnp.broadcast_to(jnp.clip(x, 0, 1), inputs['image'].shape) for x in row]
  return {'layers': jnp.concatenate([inputs['image'], *row], axis=2)}
