"""Prepared scenes: records of scenes.draw.draw_scene in ArrayRecord shards, with a manifest.

A record is the bytes of its arrays in the order of `layout`; array_record adds zstd compression and
a checksum. Layers as PNG are 25 % smaller but take 5x as long to decode, nearly as long as drawing
(benchmarks/input.py).
"""

import collections
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from depthjax.data.scenes import surfaces
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import remote
from depthjax.files import renamed
from depthjax.files.errors import InputError

FORMAT = 2
_SINCE_2 = ('relief', 'material')  # Arrays that format 1 lacks; they are read as zeros.
MANIFEST = 'scenes.json'
# Level 3 is 10 % smaller than level 1 and decodes as fast. Groups of 1 allow random access.
WRITER_OPTIONS = 'group_size:1,zstd:3'
Layout = dict[str, tuple[str, tuple[int, ...]]]  # Array name -> (dtype, shape).
_SHAPE = ('height', 'width', 'pad', 'layers')
_SURFACES = ('tilted_background', 'tilted_foreground', 'relief')  # Ignored by renderers if 0.
_PREPARE = 'the output of `depthjax prepare scenes`'


def layout(config: SceneConfig, version: int = FORMAT) -> Layout:
  """The arrays of a record in the order of their bytes, little-endian."""
  count, h, w, p = config.layers, config.height, config.width, config.pad
  arrays = {
    'layers': ('|u1', (count, h + 2 * p, w + 2 * p, 4)),
    'planes': ('<f4', (count, 3)),
    'observed': ('|u1', (count, h, w)),
    'focus': ('<f4', ()),
    'aperture': ('<f4', ()),
    'blades': ('<i4', ()),
    'rotation': ('<f4', ()),
    'highlight': ('<f4', ()),
    'seed': ('<u4', ()),
    'relief': ('<f4', (count, surfaces.GRID, surfaces.GRID)),
    'material': ('|u1', (count,)),
  }
  return {name: value for name, value in arrays.items() if version > 1 or name not in _SINCE_2}


def encode(record: Mapping[str, Any], form: Layout) -> bytes:
  """The bytes of a record; raises ValueError if its arrays are not those of the layout."""
  arrays = {name: np.asarray(value) for name, value in record.items()}
  has = {name: (value.dtype.newbyteorder('<').str, value.shape) for name, value in arrays.items()}
  if has != form:
    raise ValueError(f'the record has the arrays {has}; expected {form}')
  return b''.join(arrays[name].astype(kind).tobytes() for name, (kind, _) in form.items())


def decode(data: bytes, form: Layout) -> dict[str, np.ndarray]:
  """The record as read-only views of its bytes; raises ValueError if their number is wrong."""
  dtype = np.dtype([(name, kind, shape) for name, (kind, shape) in form.items()])
  if len(data) != dtype.itemsize:
    raise ValueError(f'the record has {len(data)} bytes; expected {dtype.itemsize}')
  values = np.frombuffer(data, dtype)
  return {name: values[name][0] for name in form}


@dataclasses.dataclass(frozen=True)
class Manifest:
  """Description of prepared scenes, stored as JSON."""

  data: dict[str, Any]  # The config's `data` table, without `kind` and `scene_source`.
  seed: int  # Of the run that would draw the same scenes.
  count: int  # Number of scenes.
  shards: int  # Number of files.
  items: dict[str, int]  # Numbers of photos and foregrounds, by field.
  first: str  # Digest of the first record; differs with the versions of the libraries that draw.
  layout: Layout
  format: int = FORMAT

  def names(self) -> list[str]:
    """The file names of the shards."""
    return [f'scenes-{i:05}-of-{self.shards:05}.array_record' for i in range(self.shards)]

  def span(self, shard: int) -> range:
    """The indices of the scenes in a shard; the sizes of shards differ by at most 1."""
    return range(shard * self.count // self.shards, (shard + 1) * self.count // self.shards)

  def to_json(self) -> str:
    """The content of the manifest's file."""
    return json.dumps(dataclasses.asdict(self), indent=2) + '\n'


def digest(data: bytes) -> str:
  """A 128-bit hash of these bytes, as hexadecimal digits."""
  return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_manifest(where: str) -> Manifest:
  """The manifest of a folder or URL; InputError if missing, invalid or of an unknown format."""
  try:
    fields = json.loads(remote.read(where, MANIFEST))
    if fields['format'] not in (1, FORMAT):
      wrong = f'has format {fields["format"]}'
      raise InputError(f'{where}/{MANIFEST}', wrong, f'1 or {FORMAT}; prepare the scenes again')
    fields['data'] = renamed.config(fields['data'], 'data')
    form = {name: (kind, tuple(shape)) for name, (kind, shape) in fields['layout'].items()}
    return Manifest(**{**fields, 'layout': form})
  except InputError:
    raise
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f'{where}/{MANIFEST}', f'is not a manifest ({error!r})', _PREPARE) from error


# A shard and its number of records, so that array_record need not open the file to count them.
_Slice = collections.namedtuple('_Slice', 'filename skip take examples_in_shard')


class Scenes(Sequence):
  """Prepared scenes by index, picklable; access raises ValueError for a damaged record or shard."""

  def __init__(self, where: str, files: Sequence[str], manifest: Manifest):
    self.where, self.manifest = where, manifest
    counts = [len(manifest.span(shard)) for shard in range(manifest.shards)]
    slices = [_Slice(str(file), 0, n, n) for file, n in zip(files, counts, strict=True)]
    self.records = grain.sources.ArrayRecordDataSource(slices)
    form = layout(SceneConfig(**{name: manifest.data[name] for name in _SHAPE}))
    added = [name for name in form if name not in manifest.layout]
    self.added = {name: np.zeros(form[name][1], form[name][0]) for name in added}

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    index = range(len(self))[index]
    try:
      return {**decode(self.records[index], self.manifest.layout), **self.added}
    except Exception as error:  # array_record raises RuntimeError, IndexError and others.
      reason = re.split(r' \(|; ', str(error))[0]  # Without the checksums and positions after it.
      spans = [self.manifest.span(shard) for shard in range(self.manifest.shards)]
      shard, span = next((i, span) for i, span in enumerate(spans) if index in span)
      name = f'{self.where}/{self.manifest.names()[shard]}[{index - span.start}]'
      raise ValueError(f'{name}: cannot be decoded ({reason})') from error


def open_scenes(where: str, config: SceneConfig) -> Scenes:
  """The prepared scenes of a folder or URL, checked against a config.

  Raises InputError: no manifest, missing shards, another size of the frame, padding or number of
  layers, or tilt or relief that the config does not render.
  """
  manifest = read_manifest(where)
  for field in (*_SHAPE, *_SURFACES):
    asked, has = getattr(config, field), manifest.data.get(field, 0)
    if asked != has if field in _SHAPE else has and not asked:
      right = f'data.{field}={has} in the config, or scenes prepared with {asked}'
      raise InputError(where, f'its scenes have {field} {has}, the config has {asked}', right)
  if manifest.layout != layout(config, manifest.format):
    raise InputError(where, 'its records have other arrays', _PREPARE)
  names = manifest.names()
  folder = remote.fetch(where, {*names}.__contains__)
  files = [folder / name for name in names]
  missing = [file.name for file in files if not file.is_file()]
  if missing:
    wrong = f'{len(missing)} of {len(names)} shards are missing, such as {missing[0]}'
    raise InputError(where, wrong, 'all; the same `depthjax prepare scenes` writes the rest')
  return Scenes(where, files, manifest)
