"""Training records of mask-guided depth refinement (Kim et al., CVPR 2022): two layers and a mask.

Maps are disparity, near is large, in [0, 1], by one affine map for all maps of a record.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from depthjax.data import pipeline
from depthjax.data.errors import masks, noise, silhouettes, stereo
from depthjax.data.records import predictions
from depthjax.data.records import scene as scene_records
from depthjax.data.records.masked_config import MaskedConfig
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes import draw, objects, two_layers
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.scenes.two_layers import TwoLayers
from depthjax.data.sources import photos as photo_sources
from depthjax.data.sources import rgbd


class Config(NamedTuple):
  scene: SceneConfig
  masked: MaskedConfig
  predictions: PredictionConfig


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record of a scene drawn without photos.

  Raises ValueError: a field out of range.
  """
  scene_records.parts(fields.get('depth_source', ''))  # Raises before anything is compiled.
  return DrawMasked(_config(fields)).random_map(None, np.random.default_rng(0))


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Endless records of a split: layers of drawn scenes, or pairs of photos of `depth_source`.

  Masks of pairs are drawn, or from `foreground_source` with the probability `mattes`.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  config, train = _config(fields), split == 'train'
  foregrounds = photo_sources.open_items(fields, 'foreground_source', split)

  def part(where: str, part_seed: int) -> grain.MapDataset:
    if where == scene_records.DRAWN:
      photos = photo_sources.open_items(fields, 'photo_source', split)
      transform = DrawMasked(config, foregrounds, photos)
    else:
      pairs = photo_sources.Skipping(rgbd.Photos(where, split), where)
      transform = DrawMasked(config, foregrounds, pairs=pairs)
    return pipeline.examples(range(pipeline.EPOCH), [transform], seed=part_seed, train=train)

  parts = scene_records.parts(fields.get('depth_source', ''))
  return pipeline.mixture(parts, seed, part, train=train)


def _config(fields):
  for table in ('masked', 'predictions'):
    if not fields.get(table):
      raise ValueError(f"data.kind is 'masked', but the table data.{table} is missing")
  for name, empty in {'scene_source': '', 'glass': 0.0, 'mirror': 0.0}.items():
    if fields.get(name):
      raise ValueError(f'{name} is {fields[name]!r}; it must be {empty!r} for masked records')
  masked, simulated = MaskedConfig(**fields['masked']), PredictionConfig(**fields['predictions'])
  return Config(scene_records.config(fields), masked, simulated)


@dataclasses.dataclass(frozen=True, eq=False)
class DrawMasked(grain.transforms.RandomMap):
  """Takes a layer of a drawn scene, or composites two of `pairs`; a function of (seed, k)."""

  config: Config
  foregrounds: Sequence | None = None
  photos: Sequence | None = None
  pairs: Sequence | None = None

  def random_map(self, element, rng):
    """The record of `simulate`; `element` is not used."""
    behind = rng.random() < self.config.masked.background
    if self.pairs is not None:
      return simulate(rng, self._pair(rng), self.config, behind=behind)
    scene = dataclasses.replace(self.config.scene, corruption=0.0)  # Its `observed` is not used.
    record = draw.draw_scene(rng, scene, self.photos, self.foregrounds)
    layers = two_layers.of_scene(rng, record, scene.pad, all_foregrounds=behind)
    return simulate(rng, layers, self.config, behind=behind)

  def _pair(self, rng):
    scene, config = self.config.scene, self.config.masked
    h, w, p = scene.height, scene.width, scene.pad
    numbers = rng.choice(len(self.pairs), 2, replace=len(self.pairs) < 2)
    photos = [_cropped(rng, self.pairs[i], (h, w), config.crop) for i in numbers]
    (item,) = objects.draw_objects(rng, dataclasses.replace(scene, layers=2), self.foregrounds)
    alpha = (item if item.ndim == 2 else item[..., 3])[p : p + h, p : p + w]
    nearer, gap, span = rng.random(), rng.uniform(*config.gap), rng.uniform(*config.span)
    gap = gap if nearer < config.nearer else None
    return two_layers.of_photos(photos, alpha, gap=gap, span=span)


def _cropped(rng, photo, shape, least):
  """A random part of a record of sources.rgbd, resized to `shape`, mirrored in half of the cases.

  `least` is the smallest fraction of each side. The disparity is normalised again.
  """
  sizes = np.array(photo['valid'].shape)
  extent = np.maximum(1, np.rint(sizes * rng.uniform(least, 1, 2))).astype(int)
  top, left = (rng.random(2) * (sizes - extent + 1)).astype(int)
  part, step = np.s_[top : top + extent[0], left : left + extent[1]], rng.choice((-1, 1))
  photo = {name: np.ascontiguousarray(x[part][:, ::step]) for name, x in photo.items()}
  photo['valid'] = photo['valid'].astype(np.float32)
  photo = {name: noise.resized(x, shape) for name, x in photo.items()}
  valid = photo['valid'] > 0.5
  return {**photo, 'disparity': predictions.normalise(photo['disparity'], valid), 'valid': valid}


def simulate(
  rng: np.random.Generator, layers: TwoLayers, config: Config, *, behind: bool
) -> dict[str, np.ndarray]:
  """A record with the mask of the front of two layers, or of what lies behind.

  Each error has its own random numbers: switching one off does not change the others.

  Returns:
    image: uint8 [h w 3], sRGB; all others are float32 [h w 1].
    seen: the map of the simulated predictor.
    mask, matte: 1 on the side of the target, with errors (P8) and without.
    target, rest: the complete disparity of both sides; matte * target + (1 - matte) * rest is true.
    target_valid, rest_valid: 1 where it is known.
  """
  mask_rng, error_rng, seen_rng, map_rng, jitter_rng = _streams(rng, 5)
  masked, scale = config.masked, max(layers.matte.shape) / 320
  if mask_rng.random() < masked.hard:
    layers = layers._replace(matte=(layers.matte > 0.5).astype(np.float32))
  seen = _composite(layers, observed(error_rng, layers, config))
  seen = _predicted(seen_rng, seen, config.predictions)
  seen, *sides = _to_unit(map_rng, masked, seen, layers)
  valid, matte = layers.valid, layers.matte
  if behind:
    sides, valid, matte = sides[::-1], valid[::-1], 1 - matte
  amount = scale if jitter_rng.random() < masked.jittered else 0.0
  mask = masks.jittered(jitter_rng, matte, amount * masked.shift, amount * masked.blur)
  maps = {'seen': seen, 'mask': mask, 'matte': matte, 'target': sides[0], 'rest': sides[1]}
  maps |= {'target_valid': valid[0], 'rest_valid': valid[1]}
  maps = {name: np.ascontiguousarray(x[..., None], np.float32) for name, x in maps.items()}
  return {'image': layers.image, **maps}


def _streams(rng, count):
  """Independent generators, seeded by the next number of `rng`."""
  seed = rng.integers(2**32)
  return [np.random.default_rng([seed, stream]) for stream in range(count)]


def _composite(layers, matte):
  return matte * layers.front + (1 - matte) * layers.behind


def observed(rng: np.random.Generator, layers: TwoLayers, config: Config) -> np.ndarray:
  """The matte with the errors P2 to P5 of a predictor: float32 [h w]; without any, the matte."""
  masked, scene, scale = config.masked, config.scene, max(layers.matte.shape) / 320
  thin_rng, fill_rng, warp_rng, edge_rng = _streams(rng, 4)
  mask = true = np.where(layers.matte > 0.5, np.uint8(255), np.uint8(0))
  if thin_rng.random() < masked.thinned:
    mask = masks.without_thin(mask, scale * thin_rng.uniform(*masked.thin))
  if fill_rng.random() < masked.filled:
    radius = scale * fill_rng.uniform(*masked.closing)
    filled = masks.filled(mask, radius=radius, hole=masked.hole)
    # Nearer objects inside the outline are not lost.
    mask = np.where(layers.front > layers.behind, filled, mask)
  limits = {'radius': scene.corruption_radius, 'sigma': scene.corruption_sigma}
  limits |= {'scale': scale, 'probability': scene.corruption}
  mask, _ = silhouettes.corrupt(edge_rng, np.stack([mask, mask]), **limits)
  amount = scale * warp_rng.uniform(0, masked.displacement)
  if warp_rng.random() < masked.displaced and amount > 0:
    mask = stereo.displaced(warp_rng, mask, amount, cells=int(warp_rng.integers(6, 17)))
  return layers.matte if np.array_equal(mask, true) else mask.astype(np.float32) / 255


def _predicted(rng, disparity, config):
  """The low prediction of records.predictions (P1, P6), not normalised: float32 [h w]."""
  amplitudes, _ = predictions.amplitudes(rng, config)
  disparity = noise.with_shared_error(rng, disparity, config.noise * config.smooth_shared)
  fraction, _ = predictions.resolutions(rng, config)
  size = tuple(max(8, round(fraction * x)) for x in disparity.shape)
  return noise.simulate(rng, disparity, resolution=size, amplitudes=amplitudes)


def _to_unit(rng, config, seen, layers):
  """The predictor's map, the front and what lies behind, by one random affine map (P7): [h w].

  The range of all that is visible becomes 1 - gain to 1, from up to `offset`. What is hidden may
  exceed it, and is clipped to [0, 1].
  """
  visible = np.stack([seen, _composite(layers, layers.matte)])
  low, factor = visible.min(), min(1.0, 1 + config.gain * rng.uniform(-1, 1))
  start = np.clip(config.offset * rng.uniform(-1, 1), 0, 1 - factor)
  scale = factor / max(visible.max() - low, 1e-6)
  return [np.clip((x - low) * scale + start, 0, 1) for x in (seen, layers.front, layers.behind)]
