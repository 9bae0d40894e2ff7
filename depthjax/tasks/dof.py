"""Shallow depth of field: inputs, metrics and pictures of the tasks that render through a lens.

Each scene is rendered on the device: all in focus, through a lens with correct occlusion, and as
disparity with the errors of a depth predictor (DeepLens, section 4.2).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from depthjax.metrics import image as metrics_lib
from depthjax.models.predictors import predictor as predictors
from depthjax.ops import alignment, colour, layers, lens, resize, scatter
from depthjax.tasks import scene
from depthjax.tasks.task import Env, Frozen

Images = dict[str, jax.Array]
DISPARITIES = ('corrupted', 'true', 'predicted')


def rendering(config: Any, env: Env) -> Callable[[Frozen, Images], Images]:
  """A function that renders batches of records, with the fields `render` and `data` of a config.

  `render.disparity` is the input of networks: 'true', 'corrupted' by simulated errors, or
  'predicted' by the frozen network 'predictor'.

  Raises:
    ValueError: a field of `render` is out of range, or the predictor is missing.
  """
  render = config.render.to_dict()
  for name in ('radius', 'samples', 'band'):
    if render[name] < 1:
      raise ValueError(f'render.{name} is {render[name]}; it must be at least 1')
  for name in ('glass', 'mirror'):
    if config.data[name]:
      raise ValueError(f'data.{name} is {config.data[name]}; it must be 0 to render through a lens')
  source = render.pop('disparity')
  if source not in DISPARITIES:
    raise ValueError(f'render.disparity is {source!r}; it can be {", ".join(DISPARITIES)}')
  predictor = env.frozen.get('predictor')
  if source == 'predicted' and predictor is None:
    raise ValueError("predictor.weights is ''; it must be given with render.disparity='predicted'")
  del render['band']
  fixed = {'geometry': scene.geometry(config.data), 'corrupted': source == 'corrupted'}
  examples = env.map_examples(lambda record: render_example(record, **fixed, **render))

  def inputs(frozen, records):
    batch = examples(records)
    if source != 'predicted':
      return batch
    disparity = predictors.disparity(predictor, frozen['predictor'], batch['image'])
    disparity = aligned(disparity, batch['disparity'])
    focus, aperture = (batch[name][:, None, None, None] for name in ('focus', 'aperture'))
    defocus = _defocus(disparity, focus, aperture, render['radius'], render['steepness'])
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
  """Renders one record at full and at half resolution.

  Returns:
    image: sRGB [h w 3], all in focus.
    target: sRGB [h w 3], through the lens.
    defocus: signed blur radius [h w 1] of the networks' disparity, as a fraction of the largest.
    image_low, target_low, defocus_low: the same at half the resolution.
    disparity: true disparity [h w 1].
    focus, aperture: scalars of the record; the focus is a disparity.
  """
  drawn = scene.unpack(record, geometry)
  relief = relief and geometry.relief
  if not relief:  # All outputs agree with what the lens renders.
    drawn = drawn._replace(relief=None)
  limit = 2.0 * radius
  aperture = lens.aperture_shape(lens.vogel(samples), record['blades'], record['rotation'])
  target = lens.trace(
    colour.boost_highlights(drawn.light, record['highlight']),
    drawn.alpha,
    drawn.planes,
    aperture,
    focus=record['focus'],
    strength=steepness * limit * record['aperture'],
    limit=limit,
    pad=drawn.pad,
    tilted=range(len(drawn.planes)) if relief else geometry.tilted,
    relief=drawn.relief,
  )
  image, disparity = scene.image(drawn), scene.disparity(drawn)
  observed = disparity
  if corrupted:
    observed = layers.front_disparity(scene.surfaces(drawn), record['observed'] / 255)
  defocus = _defocus(observed, record['focus'], record['aperture'], radius, steepness)
  return {
    'image': scene.encode(image),
    'image_low': scene.encode(resize.downsample(image, 2)),  # Downsampled in linear light.
    'target': scene.encode(target),
    'target_low': scene.encode(resize.downsample(target, 2)),
    'defocus': defocus,
    'defocus_low': resize.downsample(defocus, 2),
    'disparity': disparity,
    'focus': record['focus'],
    'aperture': record['aperture'],
  }


def aligned(prediction: jax.Array, truth: jax.Array) -> jax.Array:
  """A predicted disparity [b h w 1], fitted to the true one by scale and shift (least squares).

  Predictions have an unknown scale and shift, but focus and aperture are in units of the scene. The
  scale is at least 0: constant predictions and those of inverted polarity become the true mean.
  """
  scale, _ = alignment.fit(prediction, truth)
  mean, true_mean = (x.mean((1, 2, 3), keepdims=True) for x in (prediction, truth))
  return true_mean + jnp.maximum(scale, 0) * (prediction - mean)


def _defocus(disparity, focus, aperture, radius, steepness):
  """Signed blur radius [...] of a disparity [...], as a fraction of the largest, 2 * radius."""
  limit = 2.0 * radius
  strength = steepness * limit * aperture
  return lens.circle_of_confusion(disparity, focus, strength=strength, limit=limit) / limit


def metrics(render: Any, outputs: Images, inputs: Images) -> dict[str, jax.Array]:
  """PSNR and SSIM of each example [b], over the image and near depth edges, for three renderers.

  Names are METRIC/RENDERER: `learned` is the network at full resolution, `classical` the scatter
  renderer with the same disparity, `input` the image without blur. `render` is the config's.
  """
  edges = metrics_lib.edge_band(inputs['disparity'], radius=render.band)
  blurred = classical(inputs, limit=2 * render.radius)
  renderers = {'learned': outputs['high'], 'classical': blurred, 'input': inputs['image']}
  result = {}
  for renderer, image in renderers.items():
    for name, weight in {'': None, '_edge': edges}.items():
      result[f'psnr{name}/{renderer}'] = metrics_lib.psnr(image, inputs['target'], weight)
      result[f'ssim{name}/{renderer}'] = metrics_lib.ssim(image, inputs['target'], weight)
  return result


def classical(inputs: Images, *, limit: int) -> jax.Array:
  """The scatter renderer's result for the same image and defocus: sRGB [b h w 3]."""
  light = colour.srgb_to_linear(inputs['image'])
  render = jax.vmap(lambda image, defocus: scatter.scatter(image, defocus * limit, limit=limit))
  return scene.encode(render(light, inputs['defocus']))


def pictures(outputs: Images, inputs: Images) -> Images:
  """Image, defocus (grey in focus, white in front), result and target, side by side."""
  defocus = jnp.broadcast_to(0.5 + 0.5 * inputs['defocus'], inputs['image'].shape)
  row = [inputs['image'], defocus, jnp.clip(outputs['high'], 0, 1), inputs['target']]
  return {'lensblur': jnp.concatenate(row, axis=2)}
