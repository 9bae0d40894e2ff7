"""The scenes of a run by split: what a config's `data` table says, as batches and records."""

from typing import Any

import grain
import numpy as np

from depthjax.data import pipeline, scenes, sources

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

  Args:
    fields: a config's `data`, as in configuring.scenes.
    seed: of the training scenes; the other splits have fixed ones.
    batch_size, shard, count: as in pipeline.drawn_scenes.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  config, photos, foregrounds = _open(fields, split)
  return pipeline.drawn_scenes(
    config,
    photos,
    foregrounds,
    batch_size=batch_size,
    seed=_SEEDS.get(split, seed),
    shard=shard,
    count=count,
  )


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record of the shapes that every batch has."""
  config, _, _ = _open({**fields, 'photo_source': '', 'foreground_source': ''}, 'train')
  return {**scenes.draw(np.random.default_rng(0), config), 'index': np.uint32(0)}


def _open(fields: dict[str, Any], split: str) -> tuple:
  fields = dict(fields)
  photos, foregrounds = fields.pop('photo_source'), fields.pop('foreground_source')
  config = scenes.SceneConfig(**fields)
  return (
    config,
    sources.Skipping(sources.open_photos(photos, split), photos) if photos else None,
    sources.Skipping(sources.open_foregrounds(foregrounds, split), foregrounds)
    if foregrounds
    else None,
  )
