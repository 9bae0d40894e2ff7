"""Records of layered scenes: drawn, or read from shards of `depthjax prepare scenes`."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from depthjax.data import colours, pipeline
from depthjax.data.scenes import draw
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import mixtures, shards
from depthjax.data.sources import photos as photo_sources

DRAWN = 'drawn'  # The part of `scene_source` and `depth_source` that is drawn, not stored.


@dataclasses.dataclass(frozen=True, eq=False)
class DrawScene(grain.transforms.RandomMap):
  """Draws scenes: the scene of index k is a function of (seed, k)."""

  config: SceneConfig
  photos: Sequence | None = None
  foregrounds: Sequence | None = None

  def random_map(self, element, rng):
    """The record of `draw.draw_scene`; the element is not used."""
    return draw.draw_scene(rng, self.config, self.photos, self.foregrounds)


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record, drawn without photos.

  Raises ValueError: a field out of range.
  """
  parts(fields.get('scene_source', ''))  # To report its errors before anything is compiled.
  scene = config(fields)
  return _coloured(draw.draw_scene(np.random.default_rng(0), scene), count=scene.colours)


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Endless records: of 'train' from `scene_source`; other splits are always drawn.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  coloured = functools.partial(_coloured, count=config(fields).colours)
  if split != 'train':
    return drawn(fields, seed, split)[0].map(coloured)

  def opened(where: str, part_seed: int) -> grain.MapDataset:
    if where == DRAWN:
      return drawn(fields, part_seed)[0]
    source = shards.open_scenes(where, config(fields))
    source = photo_sources.Skipping(source, where)
    return pipeline.examples(source, seed=part_seed)

  return pipeline.mixture(parts(fields.get('scene_source', '')), seed, opened).map(coloured)


def _coloured(record: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
  """Adds `colours` [count 3] to a record, from its seed, so that stored scenes have them too."""
  if not count:
    return record
  rng = np.random.default_rng([record['seed'], 3])  # surfaces.draw_surfaces has the first three.
  return {**record, 'colours': colours.colours(rng, count)}


def drawn(
  fields: dict[str, Any], seed: int, split: str = 'train'
) -> tuple[grain.MapDataset, dict[str, int]]:
  """Drawn scenes of a split, by number, and the number of items of each source.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  photos = photo_sources.open_items(fields, 'photo_source', split)
  foregrounds = photo_sources.open_items(fields, 'foreground_source', split)
  draw_scene = DrawScene(config(fields), photos, foregrounds)
  source, train = range(pipeline.EPOCH), split == 'train'
  items = {'photo_source': len(photos or ()), 'foreground_source': len(foregrounds or ())}
  return pipeline.examples(source, [draw_scene], seed=seed, train=train), items


def differences(fields: dict[str, Any]) -> dict[str, dict[str, tuple[Any, Any]]]:
  """For each folder of prepared scenes in `scene_source`, the fields that drew other scenes.

  They are (prepared value, value in `fields`) by name; with equal values the folder is left out.
  """
  asked, found = _drawing(fields), {}
  for part in parts(fields.get('scene_source', '')):
    if part.where != DRAWN:
      has = _drawing(shards.read_manifest(part.where).data)
      if changed := {x: (has[x], asked[x]) for x in asked if has[x] != asked[x]}:
        found[part.where] = changed
  return found


def _drawing(fields: Mapping[str, Any]) -> dict[str, Any]:
  """The fields that decide how scenes are drawn, as in JSON, with defaults for missing ones."""
  known = {**dataclasses.asdict(SceneConfig()), 'photo_source': '', 'foreground_source': ''}
  del known['colours']  # Not stored.
  values = {name: fields.get(name, default) for name, default in known.items()}
  return {name: list(x) if isinstance(x, tuple) else x for name, x in values.items()}


def config(fields: dict[str, Any]) -> SceneConfig:
  """The SceneConfig in a config's `data`, which also has sources and other tables.

  Raises ValueError: a field out of range.
  """
  own = {
    name: value
    for name, value in fields.items()
    if name != 'kind' and not name.endswith('_source') and not isinstance(value, Mapping)
  }
  return SceneConfig(**own)


def parts(text: str) -> list[mixtures.Part]:
  """The parts of a `scene_source` or `depth_source`; '' draws all records.

  Raises ValueError: as mixtures.parse.
  """
  return mixtures.parse(text) or [mixtures.Part(DRAWN, 1.0)]
