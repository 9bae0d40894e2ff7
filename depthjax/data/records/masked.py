"""Training records of mask-guided depth refinement (Kim et al., CVPR 2022): two layers and a mask.

Maps are disparity, near is large, in [0, 1] by one affine map for all of a record.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

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
from depthjax.data.sources import mixtures, rgbd
from depthjax.data.sources import photos as photo_sources


@dataclasses.dataclass(frozen=True)
class Config:
  """The three tables that a record depends on."""

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
  """Endless records of a split: of `depth_source`, pairs of photos; '' draws scenes.

  Masks of pairs are drawn, or from `foreground_source` with the probability `mattes`.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  config, train = _config(fields), split == 'train'
  opened = photo_sources.open_items
  foregrounds = opened(fields['foreground_source'], split, photo_sources.open_foregrounds)

  def drawn(where: str, part_seed: int) -> grain.MapDataset:
    if where == scene_records.DRAWN:
      photos = opened(fields['photo_source'], split, photo_sources.open_photos)
      transform = DrawMasked(config, photos, foregrounds)
    else:
      source = photo_sources.Skipping(rgbd.open_rgbd(where, split), where)
      transform = DrawPair(config, source, foregrounds)
    return pipeline.examples(range(pipeline.EPOCH), [transform], seed=part_seed, train=train)

  parts = scene_records.parts(fields.get('depth_source', ''))
  return pipeline.mixture(parts, seed, drawn, train=train)


def _config(fields):
  for table in ('masked', 'predictions'):
    if not fields.get(table):
      raise ValueError(f"data.kind is 'masked', but the table data.{table} is missing")
  if fields['scene_source']:
    wrong = f'scene_source is {fields["scene_source"]!r}'
    raise ValueError(f"{wrong}; it must be '' for masked records: set depth_source")
  for name in ('glass', 'mirror'):
    if fields.get(name):
      raise ValueError(f'{name} is {fields[name]}; it must be 0 for masked records')
  masked, simulated = MaskedConfig(**fields['masked']), PredictionConfig(**fields['predictions'])
  return Config(scene_records.config(fields), masked, simulated)


@dataclasses.dataclass(frozen=True, eq=False)
class DrawMasked(grain.transforms.RandomMap):
  """Draws a scene and takes one of its layers; a function of (seed, k)."""

  config: Config
  photos: Sequence | None = None
  foregrounds: Sequence | None = None

  def random_map(self, element, rng):
    """The record of `simulate`; `element` is not used."""
    scene, behind = self.config.scene, rng.random() < self.config.masked.background
    # Its observed silhouettes are not used.
    scene = dataclasses.replace(scene, corruption=0.0)
    record = draw.draw_scene(rng, scene, self.photos, self.foregrounds)
    layers = two_layers.of_scene(rng, record, scene.pad, all_foregrounds=behind)
    return simulate(rng, layers, self.config, behind=behind)


@dataclasses.dataclass(frozen=True, eq=False)
class DrawPair(grain.transforms.RandomMap):
  """Composites two random photos with disparity by an unpaired mask; a function of (seed, k)."""

  config: Config
  source: Sequence
  foregrounds: Sequence | None = None

  def random_map(self, element, rng):
    """The record of `simulate`; `element` is not used."""
    scene, config = self.config.scene, self.config.masked
    shape, p = (scene.height, scene.width), scene.pad
    numbers = [mixtures.pick(rng, self.source) for _ in range(2)]
    photos = [two_layers.cropped(rng, self.source[i], shape, config.crop) for i in numbers]
    for photo in photos:
      photo['disparity'] = predictions.normalise(photo['disparity'], photo['valid'])
    (item,) = objects.draw_objects(rng, dataclasses.replace(scene, layers=2), self.foregrounds)
    alpha = (item if item.ndim == 2 else item[..., 3])[p : p + shape[0], p : p + shape[1]]
    behind, nearer = rng.random(2) < (config.background, config.nearer)
    gap, span = rng.uniform(*config.gap), rng.uniform(*config.span)
    layers = two_layers.of_photos(photos, alpha, gap=gap if nearer else None, span=span)
    return simulate(rng, layers, self.config, behind=behind)


def simulate(
  rng: np.random.Generator, layers: TwoLayers, config: Config, *, behind: bool
) -> dict[str, np.ndarray]:
  """A record: the mask of one of two layers, both complete, and a predictor's map of their image.

  Each error has random numbers of its own: an amplitude of 0 does not change the others.

  Args:
    behind: whether the mask is that of what lies behind, not of the front.

  Returns:
    image: uint8 [h w 3], sRGB.
    seen: float32 [h w 1], the map of the simulated predictor.
    mask: float32 [h w 1], 1 on the side of the target, as given to the network.
    matte: float32 [h w 1], the mask without errors; matte * target + (1 - matte) * rest is the true
      map.
    target, rest: float32 [h w 1], the disparity of both sides, complete.
    target_valid, rest_valid: float32 [h w 1], 1 where it is known.
  """
  mask_rng, error_rng, seen_rng, map_rng, jitter_rng = _streams(rng, 5)
  masked, scale = config.masked, max(layers.matte.shape) / 320
  if mask_rng.random() < masked.hard:
    layers = layers._replace(matte=(layers.matte > 0.5).astype(np.float32))
  truth = _composite(layers, layers.matte)
  seen = _composite(layers, observed(error_rng, layers, config))
  seen = predicted(seen_rng, seen, config.predictions)
  seen, front, back = to_unit(map_rng, masked, [seen, truth], [layers.front, layers.behind])
  sides = [(front, layers.front_valid), (back, layers.behind_valid)]
  (target, target_valid), (rest, rest_valid) = sides[::-1] if behind else sides
  matte = 1 - layers.matte if behind else layers.matte
  has_errors = jitter_rng.random() < masked.jittered
  options = {'shift': has_errors * scale * masked.shift, 'blur': has_errors * scale * masked.blur}
  maps = {
    'seen': seen,
    'mask': masks.jittered(jitter_rng, matte, **options),
    'matte': matte,
    'target': target,
    'rest': rest,
    'target_valid': target_valid,
    'rest_valid': rest_valid,
  }
  maps = {name: np.ascontiguousarray(x[..., None], np.float32) for name, x in maps.items()}
  return {'image': layers.image, **maps}


def _streams(rng, count):
  """Independent generators, seeded by the next number of `rng`."""
  seed = rng.integers(2**32)
  return [np.random.default_rng([seed, stream]) for stream in range(count)]


def _composite(layers, matte):
  return layers.behind + matte * (layers.front - layers.behind)


def observed(rng: np.random.Generator, layers: TwoLayers, config: Config) -> np.ndarray:
  """The matte of the front as a predictor sees it, with the errors P2 to P5: float32 [h w].

  Without errors it is the matte.
  """
  masked, scene, scale = config.masked, config.scene, max(layers.matte.shape) / 320
  thin_rng, fill_rng, warp_rng, edge_rng = _streams(rng, 4)
  true = np.where(layers.matte > 0.5, np.uint8(255), np.uint8(0))
  mask = true
  if thin_rng.random() < masked.thinned:
    mask = masks.without_thin(mask, scale * thin_rng.uniform(*masked.thin))
  if fill_rng.random() < masked.filled:
    radius = scale * fill_rng.uniform(*masked.closing)
    filled = masks.filled(mask, radius=radius, hole=masked.hole)
    # What is seen through a hole is farther; a nearer object inside the outline is not lost.
    mask = np.where(layers.front > layers.behind, filled, mask)
  options = {'radius': scene.corruption_radius, 'sigma': scene.corruption_sigma}
  # The last silhouette is never changed.
  pair = np.stack([mask, mask])
  mask = silhouettes.corrupt(edge_rng, pair, scale=scale, probability=scene.corruption, **options)[
    0
  ]
  amount = scale * warp_rng.uniform(0, masked.displacement)
  if warp_rng.random() < masked.displaced and amount > 0:
    mask = stereo.displaced(warp_rng, mask, amount, cells=int(warp_rng.integers(6, 17)))
  same = np.array_equal(mask, true)
  return layers.matte if same else mask.astype(np.float32) / 255


def predicted(
  rng: np.random.Generator, disparity: np.ndarray, config: PredictionConfig
) -> np.ndarray:
  """The low prediction of records.predictions (P1, P6), not normalised: float32 [h w]."""
  low, _ = predictions.amplitudes(rng, config)
  disparity = noise.with_shared_error(rng, disparity, config.noise * config.smooth_shared)
  fraction, _ = predictions.resolutions(rng, config)
  size = tuple(max(8, round(fraction * x)) for x in disparity.shape)
  return noise.simulate(rng, disparity, resolution=size, amplitudes=low)


def to_unit(
  rng: np.random.Generator,
  config: MaskedConfig,
  visible: Sequence[np.ndarray],
  complete: Sequence[np.ndarray],
) -> list[np.ndarray]:
  """The first visible map, and the complete ones, by one random affine map in [0, 1] (P7).

  The range of all visible maps becomes [o, o + s], with s a random factor of 1 +- gain, at most 1,
  and o up to `offset`. Complete maps are clipped: their hidden parts may exceed what is visible.
  """
  low = min(x.min() for x in visible)
  span = max(max(x.max() for x in visible) - low, 1e-6)
  factor, offset = 1 + config.gain * rng.uniform(-1, 1), config.offset * rng.uniform(-1, 1)
  factor = min(factor, 1.0)
  offset = np.clip(offset, 0, 1 - factor)
  maps = (visible[0], *complete)
  return [np.clip((x - low) * np.float32(factor / span) + offset, 0, 1) for x in maps]
