"""Shallow depth of field, as several experiments see it: inputs, metrics and pictures.

The scene is rendered on the device: the photograph with everything in focus, the same seen through
a lens with true occlusion, and the disparity as a predictor sees it (DeepLens, section 4.2).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from depthjax.metrics import image as metrics_lib
from depthjax.models.predictors import predictor as predictors
from depthjax.ops import colour, layers, lens, resize, scatter
from depthjax.tasks.task import Env, Frozen

Images = dict[str, jax.Array]
DISPARITIES = ('corrupted', 'true', 'predicted')


def rendering(config: Any, env: Env) -> Callable[[Frozen, Images], Images]:
  """Renders a batch of records, by the fields `render` and `data` of a config.

  `render.disparity` says what the networks see: the true one, the one that errs as a simulated
  predictor does, or that of the frozen network 'predictor'.

  Raises:
    ValueError: a field of `render` that cannot be, or no predictor where one is needed.
  """
  render = config.render.to_dict()
  band, seen = render.pop('band'), render.pop('disparity')
  if render['radius'] < 1 or render['samples'] < 1 or band < 1:
    raise ValueError(
      f'render.radius is {render["radius"]}, render.samples {render["samples"]} and render.band '
      f'{band}; all must be at least 1'
    )
  if seen not in DISPARITIES:
    raise ValueError(f'render.disparity is {seen!r}; it can be {", ".join(DISPARITIES)}')
  predictor = env.frozen.get('predictor')
  if seen == 'predicted' and predictor is None:
    raise ValueError("render.disparity is 'predicted', and predictor.weights names no predictor")
  tilted = (config.data.layers - 1,) if config.data.tilted_background else ()
  fixed = {'pad': config.data.pad, 'tilted': tilted, 'corrupted': seen == 'corrupted'}
  examples = env.map_examples(lambda record: render_example(record, **fixed, **render))

  def inputs(frozen, records):
    batch = examples(records)
    if seen != 'predicted':
      return batch
    disparity = predictors.disparity(predictor, frozen['predictor'], batch['image'])
    disparity = aligned(disparity, batch['disparity'])
    defocus = _defocus(disparity, batch, render['radius'], render['steepness'])
    return {**batch, 'defocus': defocus, 'defocus_low': resize.downsample(defocus, 2)}

  return inputs


def render_example(
  record: Images,
  *,
  pad: int,
  tilted: tuple[int, ...],
  samples: int,
  radius: int,
  steepness: float,
  corrupted: bool,
) -> Images:
  """One drawn record as images, at the resolution of the record and at half of it.

  Returns `image` [h w 3] sRGB all in focus, `target` the same through the lens, `defocus` [h w 1]
  the signed blur radius over the largest as the networks see it, and the three at half size
  (`image_low`, `target_low`, `defocus_low`); `disparity` [h w 1] the true one; and the numbers
  `focus`, a disparity, and `aperture`.
  """
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
    tilted=tilted,
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
    'focus': record['focus'],
    'aperture': record['aperture'],
  }


def aligned(prediction: jax.Array, truth: jax.Array) -> jax.Array:
  """A predicted disparity in the truth's scale and shift, by least squares: [b h w 1] twice.

  Predictors know neither, and focus and aperture are in the units of the scene. One that is upside
  down, or constant, becomes the mean.
  """
  axes = (1, 2, 3)
  mean, true_mean = prediction.mean(axes, keepdims=True), truth.mean(axes, keepdims=True)
  centred = prediction - mean
  covariance = (centred * (truth - true_mean)).mean(axes, keepdims=True)
  variance = (centred**2).mean(axes, keepdims=True)
  return true_mean + jnp.maximum(covariance, 0) / jnp.maximum(variance, 1e-8) * centred


def _defocus(disparity: jax.Array, batch: Images, radius: int, steepness: float) -> jax.Array:
  """The signed blur radius over the largest [b h w 1], for a lens of each example."""
  limit = 2.0 * radius

  def of_one(disparity, focus, aperture):
    strength = steepness * limit * aperture
    return lens.circle_of_confusion(disparity, focus, strength=strength, limit=limit) / limit

  return jax.vmap(of_one)(disparity, batch['focus'], batch['aperture'])


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


def _encode(linear: jax.Array) -> jax.Array:
  """Clipped to what a photograph can show, then encoded: light is averaged before."""
  return colour.linear_to_srgb(jnp.clip(linear, 0, 1))
