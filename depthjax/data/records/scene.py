"""Records of layered scenes: drawn, or read from shards of `depthjax prepare scenes`."""

from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from depthjax.data import pipeline
from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import mixtures, shards
from depthjax.data.sources import photos as photo_sources

DRAWN = 'drawn'  # In `scene_source` and `depth_source`: no stored records, but drawing.


class DrawScene(grain.transforms.RandomMap):
  """Replaces a record by a drawn scene: the scene of index k depends on (seed, k) alone."""

  def __init__(
    self,
    config: SceneConfig,
    photos: Sequence | None = None,
    foregrounds: Sequence | None = None,
  ):
    self.config, self.photos, self.foregrounds = config, photos, foregrounds

  def random_map(self, element, rng):
    """The record of `draw.draw_scene`; the element is not looked at."""
    return draw.draw_scene(rng, self.config, self.photos, self.foregrounds)


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record, drawn without photographs.

  Raises:
    ValueError: a field out of range.
  """
  parts(fields.get('scene_source', ''))  # Its errors come before anything is compiled.
  return draw.draw_scene(np.random.default_rng(0), config(fields))


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Endless records: of 'train' from `scene_source`; those of the other splits are always drawn.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  if split != 'train':
    return _draw(fields, split, seed)[0]

  def opened(where: str, own: int) -> grain.MapDataset:
    if where == DRAWN:
      return drawn(fields, own)[0]
    source = shards.open_scenes(where, config(fields))
    source = photo_sources.Skipping(source, where)
    return pipeline.examples(source, seed=own)

  return pipeline.mixture(parts(fields.get('scene_source', '')), seed, opened)


def drawn(fields: dict[str, Any], seed: int) -> tuple[grain.MapDataset, dict[str, int]]:
  """The scenes that training draws, by number, and how many photographs and foregrounds it has.

  Raises:
    ValueError: a field out of range, or a source that cannot be read.
  """
  return _draw(fields, 'train', seed)


def config(fields: dict[str, Any]) -> SceneConfig:
  """What a config's `data` says of the scenes themselves: all but sources and tables.

  Raises:
    ValueError: a field out of range.
  """
  own = {
    name: value
    for name, value in fields.items()
    if name != 'kind' and not name.endswith('_source') and not isinstance(value, Mapping)
  }
  return SceneConfig(**own)


def parts(text: str) -> list[mixtures.Part]:
  """The parts of a `scene_source` or `depth_source`; '' draws all records.

  Raises:
    ValueError: as mixtures.parse.
  """
  return mixtures.parse(text) or [mixtures.Part(DRAWN, 1.0)]


def _draw(fields: dict[str, Any], split: str, seed: int) -> tuple[grain.MapDataset, dict[str, int]]:
  photos = photo_sources.open_items(fields['photo_source'], split, photo_sources.open_photos)
  foregrounds = photo_sources.open_items(
    fields['foreground_source'], split, photo_sources.open_foregrounds
  )
  transforms = [DrawScene(config(fields), photos, foregrounds)]
  source, train = range(pipeline.EPOCH), split == 'train'
  items = {'photo_source': len(photos or ()), 'foreground_source': len(foregrounds or ())}
  return pipeline.examples(source, transforms, seed=seed, train=train), items
