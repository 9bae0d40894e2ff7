"""Training records of a refinement network: a target, and what a predictor sees of it.

All maps are disparity, near is large, each with its own range brought to [0, 1].
"""

import dataclasses
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

# As ops.disparity.normalise.
_FLAT, _EPSILON = np.float32(1e-6), np.float32(1e-7)


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record, of a drawn scene.

  Raises:
    ValueError: a field out of range.
  """
  scene_records.parts(fields.get('depth_source', ''))  # Its errors come before compiling.
  draw = DrawPredictions(scene_records.config(fields), _config(fields), None, train=True)
  return draw.random_map(None, np.random.default_rng(0))


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Endless records of a split from `depth_source`.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  config, scene, train = _config(fields), scene_records.config(fields), split == 'train'

  def opened(where: str, own: int) -> grain.MapDataset:
    if where == scene_records.DRAWN:
      foregrounds = photo_sources.open_items(
        fields['foreground_source'], split, photo_sources.open_foregrounds
      )
      draw = DrawPredictions(scene, config, foregrounds, train=train)
      return pipeline.examples(range(pipeline.EPOCH), [draw], seed=own)
    source, transform = _stored(where, split, scene.height, config)
    source = photo_sources.Skipping(source, where, sound='records that can be read')
    return pipeline.examples(source, [transform], seed=own)

  return pipeline.mixture(scene_records.parts(fields.get('depth_source', '')), seed, opened)


def _stored(where, split, side, config):
  """The maps of a path, and what makes records of them."""
  train = split == 'train'
  if where == 'builtin':
    return depth_sources.open_builtin(split, side), SimulatePredictions(config, train=train)
  if where.startswith('tfds:'):
    return depth_sources.open_truths(where, split, side), SimulatePredictions(config, train=train)
  options = {'levels': config.levels, 'window_size': config.window_size}
  source = depth_sources.open_stored(where, split, side, **options)
  return source, TakeStored(config, train=train)


def _config(fields):
  if not fields.get('predictions'):
    raise ValueError("data.kind is 'predictions', and the table data.predictions is missing")
  if fields['height'] != fields['width']:
    raise ValueError(
      f'height is {fields["height"]} and width {fields["width"]}; predictions are squares'
    )
  if fields['scene_source']:
    raise ValueError(
      f'scene_source is {fields["scene_source"]!r}; predictions come from depth_source'
    )
  return PredictionConfig(**fields['predictions'])


def simulate(
  rng: np.random.Generator,
  disparity: np.ndarray,
  valid: np.ndarray | None,
  config: PredictionConfig,
  *,
  train: bool,
) -> dict[str, np.ndarray]:
  """A record, all its predictions by the simulated predictor.

  Args:
    disparity: float32 [s s], the truth.
    valid: bool [s s], where it is known; None is everywhere.
    train: whether the target may be degraded and the example flipped and inverted.

  Returns:
    target, valid, low, high: float32 [s s 1].
    windows: float32 [n side side 1], levels 1 to `levels` in the order of windows.grid; absent
      where there are none.
    natural: float32 [], 1 where the target is what stereo makes of the truth.
  """
  flips, inverts, degrades = _chances(rng, config, train)
  known = np.ones(disparity.shape, bool) if valid is None else valid
  disparity, known = (flipped(x, flips) for x in (disparity, known))
  disparity = depth.fill(np.ascontiguousarray(disparity, np.float32), known)
  target, natural = disparity, not known.all()
  if degrades and not natural:
    target, known = stereo.matched(rng, disparity)
    natural = True
  maps = {'target': normalise(target, known), **predicted(rng, disparity, config)}
  return _record(maps, known, natural, inverts)


def stored(
  rng: np.random.Generator,
  maps: dict[str, np.ndarray],
  config: PredictionConfig,
  *,
  train: bool,
) -> dict[str, np.ndarray]:
  """A record, as `simulate`, of stored predictions.

  Args:
    maps: as sources.depth.Stored has them. The target is natural where some of it is not known.
  """
  flips, inverts, _ = _chances(rng, config, train)
  shape, known = maps['disparity'].shape, flipped(maps['valid'], flips)
  out = {'target': normalise(flipped(maps['disparity'], flips), known)}
  out |= {name: normalise(flipped(maps[name], flips)) for name in ('low', 'high')}
  if config.levels:
    parts = flipped_windows(maps['windows'], flips, shape, config.levels)
    out['windows'] = np.stack([normalise(part) for part in parts])
  return _record(out, known, not known.all(), inverts)


def _chances(rng, config, train):
  """Flips [2], inversion, and degradation of the target; evaluation has none of them."""
  draws = rng.random(4)  # All are drawn, so that one option does not shift the next draw.
  augments = train and config.augment
  return (
    draws[:2] < 0.5 * augments,
    draws[2] < augments / 3,
    draws[3] < config.stereo_targets * train,
  )


def _record(maps, known, natural, inverts):
  """What training takes, of normalised maps."""
  if inverts:
    maps = {name: 1 - x for name, x in maps.items()}
  out = {name: np.ascontiguousarray(x[..., None]) for name, x in maps.items()}
  valid = np.ascontiguousarray(known[..., None], np.float32)
  return {**out, 'valid': valid, 'stereo_target': np.float32(natural)}


def predicted(
  rng: np.random.Generator, disparity: np.ndarray, config: PredictionConfig
) -> dict[str, np.ndarray]:
  """`low` and `high` [s s] and `windows` [n side side] of a truth [s s], normalised each."""
  low, high = amplitudes(config, _white(rng, config))
  seen = noise.believed(rng, disparity, config.noise * config.smooth_shared)
  shape = seen.shape
  sides = {name: _share(shape, share) for name, share in _resolutions(rng, config).items()}
  call = noise.simulate
  out = {
    'low': normalise(call(rng, seen, resolution=sides['low'], amplitudes=low)),
    'high': normalise(call(rng, seen, resolution=sides['high'], amplitudes=high)),
  }
  if config.levels:
    side = (config.window_size,) * 2
    parts = [
      call(
        rng, np.ascontiguousarray(seen[part.slices]), resolution=side, shape=side, amplitudes=high
      )
      for level in range(1, config.levels + 1)
      for part in windows.grid(shape, level)
    ]
    out['windows'] = np.stack([normalise(part) for part in parts])
  return out


def _resolutions(rng, config):
  """Of the low and the high prediction of a record, as shares of the side."""
  shares = {name: getattr(config, name) for name in ('low', 'high')}
  if config.max_coarsening > 1:  # Nothing is drawn where nothing varies.
    factors = config.max_coarsening ** rng.random(2)
    shares = {name: x / factor for (name, x), factor in zip(shares.items(), factors, strict=True)}
    shares['high'] = max(shares.values())
  return shares


def _white(rng, config):
  return config.white_low * max(0.0, rng.uniform(-1, 1)) if config.white_low else 0.0


def amplitudes(
  config: PredictionConfig, white: float = 0.0
) -> tuple[noise.Amplitudes, noise.Amplitudes]:
  """Errors of the low prediction, `white` noise among them, and of the high one and of windows."""

  def of(which, cells):
    fields = {
      'offset': f'offset_{which}',
      'gain': f'gain_{which}',
      'smooth': f'smooth_{which}',
      'edge': f'edge_{which}',
    }
    values = {name: config.noise * getattr(config, field) for name, field in fields.items()}
    return noise.Amplitudes(**values, patch=getattr(config, f'patch_{which}'), cells=cells)

  low = dataclasses.replace(of('low', 2), white=config.noise * white)
  return low, of('high', 4)


def normalise(disparity: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
  """Least and largest value [h w] to 0 and 1; a constant map becomes zeros.

  Args:
    valid: bool [h w], what counts; the rest is cut to [0, 1].
  """
  known = disparity if valid is None or not valid.any() else disparity[valid]
  low = known.min()
  span = known.max() - low
  if span < _FLAT:
    return np.zeros_like(disparity)
  return np.clip((disparity - low) / (span + _EPSILON), 0, 1)


def _share(shape, share):
  return tuple(max(8, round(share * size)) for size in shape)


class DrawPredictions(grain.transforms.RandomMap):
  """Replaces a record by predictions of a drawn scene: a function of (seed, k) alone."""

  def __init__(self, scene: SceneConfig, config: PredictionConfig, foregrounds, *, train: bool):
    self.scene, self.config, self.foregrounds, self.train = scene, config, foregrounds, train

  def random_map(self, element, rng):
    """The record of `simulate`; the element is not looked at."""
    truth = truths.draw_truth(rng, self.scene, self.foregrounds, relief=self.config.relief)
    return simulate(rng, truth, None, self.config, train=self.train)


class SimulatePredictions(grain.transforms.RandomMap):
  """Replaces a true disparity, as of sources.depth.Truths, by a record of `simulate`."""

  def __init__(self, config: PredictionConfig, *, train: bool):
    self.config, self.train = config, train

  def random_map(self, element, rng):
    """The record of `simulate`."""
    return simulate(rng, element['disparity'], element['valid'], self.config, train=self.train)


class TakeStored(grain.transforms.RandomMap):
  """Replaces stored predictions, as of sources.depth.Stored, by a record of `stored`."""

  def __init__(self, config: PredictionConfig, *, train: bool):
    self.config, self.train = config, train

  def random_map(self, element, rng):
    """The record of `stored`."""
    return stored(rng, element, self.config, train=self.train)
