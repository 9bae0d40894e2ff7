"""Shallow depth of field: inputs, metrics and pictures of the tasks that render through a lens.

The scene is rendered on the device: all in focus, through a lens with correct occlusion, and its
disparity with the errors of a depth predictor (DeepLens, section 4.2).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from depthjax.metrics import image as metrics_lib
from depthjax.models.predictors import predictor as predictors
from depthjax.ops import colour, layers, lens, resize, scatter
from depthjax.tasks import scene
from depthjax.tasks.task import Env, Frozen

Images = dict[str, jax.Array]
DISPARITIES = ('corrupted', 'true', 'predicted')


def rendering(config: Any, env: Env) -> Callable[[Frozen, Images], Images]:
  """A function that renders a batch of records, by the fields `render` and `data` of a config.

  `render.disparity` is the disparity that networks get: 'true', 'corrupted' with simulated errors,
  or 'predicted' by the frozen network 'predictor'.

  Raises:
    ValueError: a field of `render` out of range, or no predictor where one is needed.
  """
  render = config.render.to_dict()
  band, source = render.pop('band'), render.pop('disparity')
  if render['radius'] < 1 or render['samples'] < 1 or band < 1:
    raise ValueError(
      f'render.radius is {render["radius"]}, render.samples {render["samples"]} and render.band '
      f'{band}; all must be at least 1'
    )
  if source not in DISPARITIES:
    raise ValueError(f'render.disparity is {source!r}; it can be {", ".join(DISPARITIES)}')
  predictor = env.frozen.get('predictor')
  if source == 'predicted' and predictor is None:
    raise ValueError("render.disparity is 'predicted', and predictor.weights names no predictor")
  fixed = {'geometry': scene.geometry(config.data), 'corrupted': source == 'corrupted'}
  examples = env.map_examples(lambda record: render_example(record, **fixed, **render))

  def inputs(frozen, records):
    batch = examples(records)
    if source != 'predicted':
      return batch
    disparity = predictors.disparity(predictor, frozen['predictor'], batch['image'])
    disparity = aligned(disparity, batch['disparity'])
    defocus = _defocus(disparity, batch, render['radius'], render['steepness'])
    return {**batch, 'defocus': defocus, 'defocus_low': resize.downsample(defocus, 2)}

  return inputs


def render_example(
  record: Images,
  *,
  geometry: scene.Geometry,
  samples: int,
  radius: int,
  steepness: float,
  relief: bool,
  corrupted: bool,
) -> Images:
  """Renders one record at its own resolution and at half of it.

  Returns:
    image: sRGB [h w 3], all in focus.
    target: sRGB [h w 3], through the lens.
    defocus: signed blur radius [h w 1] over the largest, of the disparity that networks get.
    image_low, target_low, defocus_low: the same at half the size.
    disparity: true disparity [h w 1].
    focus, aperture: numbers of the record; the focus is a disparity.
  """
  drawn = scene.unpack(record, geometry)
  limit = 2.0 * radius
  strength = steepness * limit * record['aperture']
  aperture = lens.aperture_shape(lens.vogel(samples), record['blades'], record['rotation'])
  target = lens.trace(
    colour.boost_highlights(drawn.light, record['highlight']),
    drawn.alpha,
    drawn.planes,
    aperture,
    focus=record['focus'],
    strength=strength,
    limit=limit,
    pad=drawn.pad,
    tilted=geometry.tilted,
    relief=drawn.relief if relief else None,
  )
  image, disparity = scene.image(drawn), scene.disparity(drawn)
  observed = disparity
  if corrupted:
    observed = layers.front_disparity(scene.surfaces(drawn), record['observed'] / 255)
  defocus = lens.circle_of_confusion(observed, record['focus'], strength=strength, limit=limit)
  defocus = defocus / limit
  return {
    'image': scene.encode(image),
    'image_low': scene.encode(resize.downsample(image, 2)),
    'target': scene.encode(target),
    # From the target in linear light, so that both resolutions agree.
    'target_low': scene.encode(resize.downsample(target, 2)),
    'defocus': defocus,
    'defocus_low': resize.downsample(defocus, 2),
    'disparity': disparity,
    'focus': record['focus'],
    'aperture': record['aperture'],
  }


def aligned(prediction: jax.Array, truth: jax.Array) -> jax.Array:
  """A predicted disparity in the scale and shift of the true one, by least squares: [b h w 1].

  Predictors know neither, and focus and aperture are in units of the scene. A constant prediction,
  or one of inverted polarity, becomes the mean.
  """
  axes = (1, 2, 3)
  mean, true_mean = prediction.mean(axes, keepdims=True), truth.mean(axes, keepdims=True)
  centred = prediction - mean
  covariance = (centred * (truth - true_mean)).mean(axes, keepdims=True)
  variance = (centred**2).mean(axes, keepdims=True)
  return true_mean + jnp.maximum(covariance, 0) / jnp.maximum(variance, 1e-8) * centred


def _defocus(disparity: jax.Array, batch: Images, radius: int, steepness: float) -> jax.Array:
  """The signed blur radius over the largest [b h w 1], for the lens of each example."""
  limit = 2.0 * radius

  def of_one(disparity, focus, aperture):
    strength = steepness * limit * aperture
    return lens.circle_of_confusion(disparity, focus, strength=strength, limit=limit) / limit

  return jax.vmap(of_one)(disparity, batch['focus'], batch['aperture'])


def metrics(outputs: Images, inputs: Images, *, limit: int, band: int) -> dict[str, jax.Array]:
  """PSNR and SSIM of each example [b], over the image and near depth edges, for three renderers.

  Names are METRIC/RENDERER: `learned` is the network's high-resolution result, `classical` the
  single-image renderer given the same disparity, `input` the image without blur.
  """
  edges = metrics_lib.edge_band(inputs['disparity'], radius=band)
  renderers = {'learned': outputs['high'], 'classical': classical(inputs, limit=limit)}
  result = {}
  for renderer, image in {**renderers, 'input': inputs['image']}.items():
    for name, weight in {'': None, '_edge': edges}.items():
      result[f'psnr{name}/{renderer}'] = metrics_lib.psnr(image, inputs['target'], weight)
      result[f'ssim{name}/{renderer}'] = metrics_lib.ssim(image, inputs['target'], weight)
  return result


def classical(inputs: Images, *, limit: int) -> jax.Array:
  """The classical renderer's image [b h w 3], sRGB, of the same image and defocus."""
  light = colour.srgb_to_linear(inputs['image'])
  render = jax.vmap(lambda image, defocus: scatter.scatter(image, defocus * limit, limit=limit))
  return scene.encode(render(light, inputs['defocus']))


def pictures(outputs: Images, inputs: Images) -> Images:
  """Image, defocus (grey in focus, white in front), result and target, side by side."""
  defocus = jnp.broadcast_to(0.5 + 0.5 * inputs['defocus'], inputs['image'].shape)
  row = [inputs['image'], defocus, jnp.clip(outputs['high'], 0, 1), inputs['target']]
  return {'lensblur': jnp.concatenate(row, axis=2)}
