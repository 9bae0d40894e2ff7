"""Training records of a refinement network: a target, and a predictor's maps of the same image.

All maps are disparity (near is large), each normalised to [0, 1].
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np

from depthjax import windows
from depthjax.data import pipeline
from depthjax.data.errors import noise, stereo
from depthjax.data.records import scene as scene_records
from depthjax.data.records.flips import flipped, flipped_windows
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes import truths
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import depth as depth_sources
from depthjax.data.sources import photos as photo_sources
from depthjax.files import depth

# As in ops.disparity.normalise.
_FLAT, _EPSILON = np.float32(1e-6), np.float32(1e-7)


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record of a drawn scene.

  Raises ValueError: a field out of range.
  """
  scene_records.parts(fields.get('depth_source', ''))  # Raises before anything is compiled.
  config = _config(fields)
  draw = DrawPredictions(scene_records.config(fields), config, None, train=True)
  return draw.random_map(None, np.random.default_rng(0))


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Records of a split from `depth_source`, for training endless.

  Those of 'val' and 'test' come once, in order; None cannot be read.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  config, scene, train = _config(fields), scene_records.config(fields), split == 'train'

  def opened(where: str, part_seed: int) -> grain.MapDataset:
    if where == scene_records.DRAWN:
      foregrounds = photo_sources.open_items(fields, 'foreground_source', split)
      draw = DrawPredictions(scene, config, foregrounds, train=train)
      return pipeline.examples(range(pipeline.EPOCH), [draw], seed=part_seed)
    if where == 'builtin':
      source = depth_sources.BuiltIn(split, scene.height)
    elif where.startswith('tfds:'):
      source = depth_sources.Truths(where, split, scene.height)
    else:
      sizes = {'levels': config.levels, 'window_size': config.window_size}
      source = depth_sources.Stored(where, split, scene.height, **sizes)
    source = photo_sources.Skipping(source, where, replace=train)
    take = TakePredictions(config, train=train)
    return pipeline.examples(source, [take], seed=part_seed, train=train)

  parts = scene_records.parts(fields.get('depth_source', ''))
  return pipeline.mixture(parts, seed, opened, train=train)


def _config(fields):
  if not fields.get('predictions'):
    raise ValueError("data.kind is 'predictions', but the table data.predictions is missing")
  if fields['height'] != fields['width']:
    size = f'height is {fields["height"]} and width {fields["width"]}'
    raise ValueError(f'{size}; predictions must be square')
  if fields['scene_source']:
    wrong = f'scene_source is {fields["scene_source"]!r}'
    raise ValueError(f"{wrong}; it must be '' for predictions: set depth_source")
  for name in ('tilted_foreground', 'relief', 'glass', 'mirror'):
    if fields.get(name):
      raise ValueError(f'{name} is {fields[name]}; predictions use data.predictions.relief only')
  return PredictionConfig(**fields['predictions'])


def simulate(
  rng: np.random.Generator,
  disparity: np.ndarray,
  valid: np.ndarray | None,
  config: PredictionConfig,
  *,
  train: bool,
) -> dict[str, np.ndarray]:
  """A record with simulated predictions.

  Args:
    disparity: float32 [s s], the truth.
    valid: bool [s s], where the truth is known; None is everywhere.
    train: whether to augment, and to turn some targets into stereo targets.

  Returns:
    target, valid, low, high: float32 [s s 1].
    windows: float32 [n side side 1], levels 1 to `levels` in the order of windows.grid; absent if
      `levels` is 0.
    stereo_target: float32 [], 1 if the target has holes, or the errors of stereo matching.
  """
  flips, inverts, degrades = _augmentation(rng, config, train)
  known = np.ones(disparity.shape, bool) if valid is None else valid
  disparity, known = (flipped(x, flips) for x in (disparity, known))
  disparity = depth.fill(np.ascontiguousarray(disparity, np.float32), known)
  target, stereo_target = disparity, not known.all()
  if degrades and not stereo_target:
    target, known = stereo.matched(rng, disparity)
    stereo_target = True
  maps = {'target': normalise(target, known), **predicted(rng, disparity, config)}
  return _record(maps, known, stereo_target, inverts)


def stored(
  rng: np.random.Generator,
  maps: dict[str, np.ndarray],
  config: PredictionConfig,
  *,
  train: bool,
) -> dict[str, np.ndarray]:
  """As `simulate`, but with the predictions stored in a record of sources.depth.Stored."""
  flips, inverts, _ = _augmentation(rng, config, train)
  shape, known = maps['disparity'].shape, flipped(maps['valid'], flips)
  out = {'target': normalise(flipped(maps['disparity'], flips), known)}
  out |= {name: normalise(flipped(maps[name], flips)) for name in ('low', 'high')}
  if config.levels:
    parts = flipped_windows(maps['windows'], flips, shape, config.levels)
    out['windows'] = np.stack([normalise(part) for part in parts])
  return _record(out, known, not known.all(), inverts)


def _augmentation(rng, config, train):
  """Whether to flip each axis [2], to invert, and to make a stereo target; never in evaluation."""
  draws = rng.random(4)  # Always all of them, so that one option does not affect later draws.
  augments = train and config.augment
  stereo_targets = config.stereo_targets * train
  return draws[:2] < 0.5 * augments, draws[2] < augments / 3, draws[3] < stereo_targets


def _record(maps, known, stereo_target, inverts):
  if inverts:
    maps = {name: 1 - x for name, x in maps.items()}
  out = {name: np.ascontiguousarray(x[..., None]) for name, x in maps.items()}
  valid = np.ascontiguousarray(known[..., None], np.float32)
  return {**out, 'valid': valid, 'stereo_target': np.float32(stereo_target)}


def predicted(
  rng: np.random.Generator, disparity: np.ndarray, config: PredictionConfig
) -> dict[str, np.ndarray]:
  """Simulated `low` and `high` [s s] and `windows` [n side side] of a true disparity [s s]."""
  low, high = amplitudes(rng, config)
  disparity = noise.with_shared_error(rng, disparity, config.noise * config.smooth_shared)
  low_size, high_size = (
    tuple(max(8, round(fraction * size)) for size in disparity.shape)
    for fraction in resolutions(rng, config)
  )
  out = {
    'low': normalise(noise.simulate(rng, disparity, resolution=low_size, amplitudes=low)),
    'high': normalise(noise.simulate(rng, disparity, resolution=high_size, amplitudes=high)),
  }
  if config.levels:
    options = {'resolution': (config.window_size,) * 2, 'shape': (config.window_size,) * 2}
    levels = range(1, config.levels + 1)
    parts = [part for level in levels for part in windows.grid(disparity.shape, level)]
    crops = (np.ascontiguousarray(disparity[part.slices]) for part in parts)
    simulated = (noise.simulate(rng, x, amplitudes=high, **options) for x in crops)
    out['windows'] = np.stack([normalise(x) for x in simulated])
  return out


def resolutions(rng: np.random.Generator, config: PredictionConfig) -> tuple[float, float]:
  """Resolution of the low and of the high prediction, as fractions of the image's."""
  low, high = config.low, config.high
  if config.max_coarsening > 1:  # Otherwise nothing is drawn.
    factors = config.max_coarsening ** rng.random(2)
    low, high = low / factors[0], high / factors[1]
  return low, max(low, high)


def amplitudes(
  rng: np.random.Generator, config: PredictionConfig
) -> tuple[noise.Amplitudes, noise.Amplitudes]:
  """Errors of the low prediction, with random white noise, and of the high one and of windows."""

  def of(which, cells):
    names = ('offset', 'gain', 'smooth', 'edge')
    values = {name: config.noise * getattr(config, f'{name}_{which}') for name in names}
    return noise.Amplitudes(**values, patch=getattr(config, f'patch_{which}'), cells=cells)

  white = config.white_low * max(0.0, rng.uniform(-1, 1)) if config.white_low else 0.0
  return dataclasses.replace(of('low', 2), white=config.noise * white), of('high', 4)


def normalise(disparity: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
  """Maps the minimum and maximum [h w] to 0 and 1; a constant map becomes zeros.

  Args:
    valid: bool [h w], the pixels that determine the range; the others are clipped to [0, 1].
  """
  known = disparity if valid is None or not valid.any() else disparity[valid]
  low, span = known.min(), np.ptp(known)
  if span < _FLAT:
    return np.zeros_like(disparity)
  return np.clip((disparity - low) / (span + _EPSILON), 0, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class DrawPredictions(grain.transforms.RandomMap):
  """Draws a scene and simulates its predictions; a function of (seed, k)."""

  scene: SceneConfig
  config: PredictionConfig
  foregrounds: Sequence | None
  train: bool

  def random_map(self, element, rng):
    """The record; `element` is unused."""
    truth = truths.draw_truth(rng, self.scene, self.foregrounds, relief=self.config.relief)
    return simulate(rng, truth, None, self.config, train=self.train)


@dataclasses.dataclass(frozen=True, eq=False)
class TakePredictions(grain.transforms.RandomMap):
  """Makes a record from an item of sources.depth: stored predictions, or else simulated ones."""

  config: PredictionConfig
  train: bool

  def random_map(self, element, rng):
    """The record."""
    if 'low' in element:
      return stored(rng, element, self.config, train=self.train)
    return simulate(rng, element['disparity'], element['valid'], self.config, train=self.train)
