"""The scenes of a run by split: what a config's `data` table says, as batches and records."""

from collections.abc import Callable, Sequence
from typing import Any

import grain
import numpy as np

from depthjax.data import pipeline
from depthjax.data.records import predictions
from depthjax.data.records.prediction_config import PredictionConfig
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import depth as depth_sources
from depthjax.data.sources import mixtures, shards
from depthjax.data.sources import photos as photo_sources

DRAWN = 'drawn'  # As a part of `scene_source`: no prepared scenes, but drawing.
# Evaluation sets are the same for every run: their seeds don't depend on the run's.
_SEEDS = {'val': 2_000_003, 'test': 3_000_017}


def batches(
  fields: dict[str, Any],
  split: str,
  *,
  seed: int,
  batch_size: int,
  shard: tuple[int, int] = (0, 1),
  count: int | None = None,
) -> grain.MapDataset:
  """Batches of a split ('train', 'val', 'test'), its photographs disjoint from the others'.

  The scenes of 'train' come from `scene_source`; those of the others are always drawn. With a
  table `predictions` they are records of records.predictions instead, of all splits from
  `depth_source`.

  Args:
    fields: a config's `data`, as in configuring.scenes.
    seed: of the training scenes; the other splits have fixed ones.
    batch_size, shard: as in pipeline.batched.
    count: None to train; for evaluation the number of scenes, cut to whole batches.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  if fields.get('predictions'):
    ds = _predictions(fields, split, seed if split == 'train' else _SEEDS[split])
    ds = ds.apply(pipeline.Number())
    train, ds = count is None, ds if count is None else ds[:count]
    return pipeline.batched(ds, batch_size=batch_size, shard=shard, train=train)
  if split != 'train':
    drawing = _drawing(fields, split)
    options = {'batch_size': batch_size, 'shard': shard, 'count': count}
    return pipeline.drawn_scenes(*drawing, seed=_SEEDS[split], **options)
  ds = _training(fields, seed).apply(pipeline.Number())
  return pipeline.batched(ds, batch_size=batch_size, shard=shard)


def drawn(fields: dict[str, Any], seed: int) -> tuple[grain.MapDataset, dict[str, int]]:
  """The scenes that training draws, by number, and how many photographs and foregrounds it has.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  if fields.get('predictions'):
    raise ValueError('data.predictions is there: its examples are simulated, not prepared')
  config, photos, foregrounds = _drawing(fields, 'train')
  items = {'photo_source': len(photos or ()), 'foreground_source': len(foregrounds or ())}
  draw = pipeline.DrawScene(config, photos, foregrounds)
  return pipeline.examples(range(pipeline.EPOCH), [draw], seed=seed), items


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record of the shapes that every batch has."""
  _scene_parts(fields)  # What is wrong there is said before anything is compiled.
  config, _, _ = _drawing({**fields, 'photo_source': '', 'foreground_source': ''}, 'train')
  if fields.get('predictions'):
    draw = predictions.DrawPredictions(config, _prediction_config(fields), None, train=True)
    mixtures.parse(fields.get('depth_source', ''))
    return {**draw.random_map(None, np.random.default_rng(0)), 'index': np.uint32(0)}
  return {**draw.draw_scene(np.random.default_rng(0), config), 'index': np.uint32(0)}


def scene_config(fields: dict[str, Any]) -> SceneConfig:
  """What a config's `data` says of the scenes themselves.

  Raises:
    ValueError: a field out of range.
  """
  own = (name for name in fields if not name.endswith('_source') and name != 'predictions')
  return SceneConfig(**{name: fields[name] for name in own})


def _prediction_config(fields: dict[str, Any]) -> PredictionConfig:
  if fields['height'] != fields['width']:
    raise ValueError(
      f'height is {fields["height"]} and width {fields["width"]}; predictions are squares'
    )
  if fields['scene_source']:
    raise ValueError(
      f'scene_source is {fields["scene_source"]!r}; predictions come from depth_source'
    )
  return PredictionConfig(**fields['predictions'])


def _predictions(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Endless examples of predictions from `depth_source`."""
  parts = mixtures.parse(fields.get('depth_source', '')) or [mixtures.Part(DRAWN, 1.0)]
  return _mixture(parts, seed, lambda where, own: _predicted(fields, where, split, own))


def _predicted(fields: dict[str, Any], where: str, split: str, seed: int) -> grain.MapDataset:
  config, scene, train = _prediction_config(fields), scene_config(fields), split == 'train'
  if where == DRAWN:
    foregrounds = _items(fields['foreground_source'], split, photo_sources.open_foregrounds)
    draw = predictions.DrawPredictions(scene, config, foregrounds, train=train)
    return pipeline.examples(range(pipeline.EPOCH), [draw], seed=seed)
  side = scene.height
  if where == 'builtin' or where.startswith('tfds:'):
    source = (
      depth_sources.open_builtin(split, side)
      if where == 'builtin'
      else depth_sources.open_truths(where, split, side)
    )
    transform = predictions.SimulatePredictions(config, train=train)
  else:
    source = depth_sources.open_stored(
      where, split, side, levels=config.levels, window_side=config.window_side
    )
    transform = predictions.TakeStored(config, train=train)
  source = photo_sources.Skipping(source, where, sound='records that can be read')
  return pipeline.examples(source, [transform], seed=seed)


def _training(fields: dict[str, Any], seed: int) -> grain.MapDataset:
  """Endless examples from `scene_source`."""
  return _mixture(_scene_parts(fields), seed, lambda where, own: _part(fields, where, own))


def _mixture(
  parts: Sequence[mixtures.Part], seed: int, opened: Callable[[str, int], grain.MapDataset]
) -> grain.MapDataset:
  """Endless examples of all parts; `opened` gives those of a place at a seed."""
  if len(parts) == 1:
    return opened(parts[0].where, seed)
  # Drawing for a mixture has a seed of its own: with the run's it would draw once more what was
  # prepared at that seed.
  seeds = np.random.SeedSequence(seed).generate_state(len(parts)).tolist()
  ready = [opened(part.where, own) for part, own in zip(parts, seeds, strict=True)]
  return pipeline.mixed(ready, [part.weight for part in parts], seed=seed)


def _scene_parts(fields: dict[str, Any]) -> list[mixtures.Part]:
  return mixtures.parse(fields.get('scene_source', '')) or [mixtures.Part(DRAWN, 1.0)]


def _part(fields: dict[str, Any], where: str, seed: int) -> grain.MapDataset:
  if where == DRAWN:
    return drawn(fields, seed)[0]
  source = shards.open_scenes(where, scene_config(fields))
  source = photo_sources.Skipping(source, where, sound='records that can be decoded')
  return pipeline.examples(source, seed=seed)


def _drawing(fields: dict[str, Any], split: str) -> tuple:
  """Arguments of draw.draw but its random numbers: config, photographs and foregrounds."""
  return (
    scene_config(fields),
    _items(fields['photo_source'], split, photo_sources.open_photos),
    _items(fields['foreground_source'], split, photo_sources.open_foregrounds),
  )


def _items(text: str, split: str, opened: Callable[[str, str], Sequence]) -> Sequence | None:
  parts = mixtures.parse(text)
  ready = [photo_sources.Skipping(opened(part.where, split), part.where) for part in parts]
  if len(ready) < 2:
    return ready[0] if ready else None
  return mixtures.Mixture(ready, [part.weight for part in parts])
