"""Learned lens blur: shallow depth of field from a photograph and a disparity that may be wrong.

The scene is rendered on the device: the photograph with everything in focus, the same seen through
a lens with true occlusion, and the disparity as a simulated predictor sees it. The networks get
photograph and predicted disparity (DeepLens, sections 3.2 and 4.2).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from depthjax.losses import image as losses
from depthjax.metrics import image as metrics_lib
from depthjax.models import lensblur
from depthjax.ops import colour, layers, lens, resize, scatter
from depthjax.tasks.task import Task

Images = dict[str, jax.Array]


def make(config: ml_collections.ConfigDict, *, each: Callable, axis_name: str | None) -> Task:
  """The task of a config with the fields of configs/lensblur.py.

  Raises:
    ValueError: `loss.kind` names no loss.
  """
  if config.loss.kind not in ('normalised', 'l1'):
    raise ValueError(f"loss.kind is {config.loss.kind!r}; 'normalised' or 'l1'")
  model = model_of(config.model, radius=config.render.radius, axis_name=axis_name)
  if config.render.radius < 1 or config.render.samples < 1:
    raise ValueError(
      f'render.radius is {config.render.radius} and render.samples {config.render.samples}; '
      'both must be at least 1'
    )
  slanted = (config.data.layers - 1,) if config.data.slanted else ()
  render = config.render.to_dict()

  def example(record):
    return render_example(record, pad=config.data.pad, slanted=slanted, **render)

  def loss(apply, variables, inputs, key):
    del key  # The scenes bring all that is random.
    outputs, state = apply(variables, inputs, True)
    low = _loss(outputs['low'], inputs['target_low'], config.loss)
    high = _loss(outputs['high'], inputs['target'], config.loss)
    return {'blur': low, 'upsampler': config.loss.upsampler * high}, state

  def measure(outputs, inputs):
    return metrics(outputs, inputs, limit=2 * config.render.radius, band=config.render.band)

  return Task(
    init=lambda key, inputs: model.init(key, *_arguments(inputs), True),
    apply=lambda variables, inputs, train: _apply(model, variables, inputs, train),
    inputs=each(example),
    loss=loss,
    predict=lambda apply, variables, inputs: apply(variables, inputs, False)[0],
    metrics=measure,
    pictures=pictures,
  )


def model_of(fields: Any, *, radius: int, axis_name: str | None = None) -> lensblur.LensBlur:
  """The network of a config's `model` fields, for blurs up to `radius` pixels."""
  fields = {**fields, 'radius': radius, 'dtype': jnp.dtype(fields['dtype'])}
  return lensblur.LensBlur(**fields, axis_name=axis_name)


def render_example(
  record: Images,
  *,
  pad: int,
  slanted: tuple[int, ...],
  samples: int,
  radius: int,
  steepness: float,
  corrupted: bool,
  band: int,
) -> Images:
  """One drawn record as images, at the resolution of the record and at half of it.

  Returns `image` [h w 3] sRGB all in focus, `target` the same through the lens, `defocus` [h w 1]
  the signed blur radius over the largest as the networks see it, and the three at half size
  (`image_low`, `target_low`, `defocus_low`); `disparity` [h w 1] the true one.
  """
  del band  # Of the metrics.
  light, alpha = layers.unpack(record['layers'])
  limit = 2.0 * radius
  strength = steepness * limit * record['aperture']
  aperture = lens.aperture_shape(lens.vogel(samples), record['blades'], record['rotation'])
  target = lens.trace(
    colour.boost_highlights(light, record['highlight']),
    alpha,
    record['planes'],
    aperture,
    focus=record['focus'],
    strength=strength,
    limit=limit,
    pad=pad,
    slanted=slanted,
  )
  alpha = layers.crop(alpha, pad)
  image = layers.composite(layers.crop(light, pad), alpha)
  planes = layers.plane_disparity(record['planes'], *alpha.shape[1:])
  disparity = layers.front_disparity(planes, (alpha > 0.5).astype(jnp.float32))
  seen = layers.front_disparity(planes, record['observed'] / 255) if corrupted else disparity
  defocus = lens.circle_of_confusion(seen, record['focus'], strength=strength, limit=limit) / limit
  return {
    'image': _encode(image),
    'image_low': _encode(resize.downsample(image, 2)),
    'target': _encode(target),
    # In linear light from the target itself, so that both resolutions agree.
    'target_low': _encode(resize.downsample(target, 2)),
    'defocus': defocus,
    'defocus_low': resize.downsample(defocus, 2),
    'disparity': disparity,
  }


def metrics(outputs: Images, inputs: Images, *, limit: int, band: int) -> dict[str, jax.Array]:
  """PSNR and SSIM of each example [b], whole and near depth edges, for three ways to render it.

  Names are METRIC/WAY: `learned` is the network's high-resolution result, `classical` the
  single-image renderer given the same disparity, `input` the photograph as it is.
  """
  edges = metrics_lib.edge_band(inputs['disparity'], radius=band)
  ways = {'learned': outputs['high'], 'classical': classical(inputs, limit=limit)}
  result = {}
  for way, image in {**ways, 'input': inputs['image']}.items():
    for name, weight in {'': None, '_edge': edges}.items():
      result[f'psnr{name}/{way}'] = metrics_lib.psnr(image, inputs['target'], weight)
      result[f'ssim{name}/{way}'] = metrics_lib.ssim(image, inputs['target'], weight)
  return result


def classical(inputs: Images, *, limit: int) -> jax.Array:
  """The classical renderer's picture [b h w 3], sRGB, from the photograph and the same defocus."""
  light = colour.srgb_to_linear(inputs['image'])
  render = jax.vmap(lambda image, defocus: scatter.scatter(image, defocus * limit, limit=limit))
  return _encode(render(light, inputs['defocus']))


def pictures(outputs: Images, inputs: Images) -> Images:
  """Photograph, defocus (grey is in focus, white in front), result and target, side by side."""
  defocus = jnp.broadcast_to(0.5 + 0.5 * inputs['defocus'], inputs['image'].shape)
  row = [inputs['image'], defocus, jnp.clip(outputs['high'], 0, 1), inputs['target']]
  return {'lensblur': jnp.concatenate(row, axis=2)}


def _arguments(inputs: Images) -> tuple[jax.Array, jax.Array, jax.Array]:
  return inputs['image_low'], inputs['defocus_low'], inputs['image']


def _apply(model: Any, variables: Any, inputs: Images, train: bool) -> tuple[Images, Any]:
  state = {name: tree for name, tree in variables.items() if name != 'params'}
  mutable = list(state) if train else []
  (low, high), changed = model.apply(variables, *_arguments(inputs), train, mutable=mutable)
  return {'low': low, 'high': high}, {**state, **changed}


def _loss(prediction: jax.Array, target: jax.Array, config: Any) -> jax.Array:
  if config.kind == 'l1':
    return losses.l1(prediction, target)
  return losses.normalised(
    prediction,
    target,
    alpha=config.alpha,
    differentiate_weights=config.differentiate_weights,
  )


def _encode(linear: jax.Array) -> jax.Array:
  """Clipped to what a photograph can show, then encoded: light is averaged before."""
  return colour.linear_to_srgb(jnp.clip(linear, 0, 1))
