"""Prepared scenes: the records of scenes.draw.draw_scene in ArrayRecord shards, beside a manifest.

A record is the bytes of its arrays, one after another in the order of `layout`; array_record
compresses them (zstd) and keeps a checksum. PNG layers are a quarter smaller than that, but take
five times as long to decode, which is nearly as long as drawing (benchmarks/input.py).
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from depthjax.data.scenes import surfaces
from depthjax.data.scenes.config import SceneConfig
from depthjax.data.sources import remote
from depthjax.files import renamed
from depthjax.files.errors import InputError

FORMAT = 2
# Arrays that records have since format 2; those of format 1 are read as zeros.
_SINCE_2 = ('relief', 'material')
MANIFEST = 'scenes.json'
# Level 3 is a tenth smaller than level 1 and decodes as fast. Groups of one: any record by itself.
WRITER_OPTIONS = 'group_size:1,zstd:3'
Layout = dict[str, tuple[str, tuple[int, ...]]]  # Array name -> (dtype, shape).
_SHAPE = ('height', 'width', 'pad', 'layers')
_SURFACES = ('tilted_background', 'tilted_foreground', 'relief')  # Rendered where they are above 0.
_PREPARE = 'what `depthjax prepare scenes` writes'


def layout(config: SceneConfig, version: int = FORMAT) -> Layout:
  """The arrays of a record, in the order of its bytes, little-endian."""
  count, h, w, p = config.layers, config.height, config.width, config.pad
  form = {
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
  return {name: value for name, value in form.items() if version > 1 or name not in _SINCE_2}


def encode(record: Mapping[str, Any], form: Layout) -> bytes:
  """The bytes of a record.

  Raises:
    ValueError: an array is missing, is one too many, or has another form.
  """
  arrays = {name: np.asarray(value) for name, value in record.items()}
  has = {name: (value.dtype.newbyteorder('<').str, value.shape) for name, value in arrays.items()}
  if has != form:
    raise ValueError(f'a record of {has}; {form} is right')
  return b''.join(
    arrays[name].astype(kind, copy=False).tobytes() for name, (kind, _) in form.items()
  )


def decode(data: bytes, form: Layout) -> dict[str, np.ndarray]:
  """The record of these bytes; its arrays look into them and cannot be written to.

  Raises:
    ValueError: another number of bytes.
  """
  sizes = [np.dtype(kind).itemsize * math.prod(shape) for kind, shape in form.values()]
  if len(data) != sum(sizes):
    raise ValueError(f'{len(data)} bytes; {sum(sizes)} are right')
  record, start = {}, 0
  for (name, (kind, shape)), size in zip(form.items(), sizes, strict=True):
    values = np.frombuffer(data, kind, math.prod(shape), start).reshape(shape)
    record[name], start = values[()], start + size
  return record


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What was drawn, and how it is stored.

  Attributes:
    data: the config's `data` table, without `kind` and `scene_source`.
    seed: of the run whose scenes these are.
    count, shards: scenes, and the files that they are in.
    items: photographs and foregrounds at hand, by field.
    first: digest of the first record; it tells another version of what draws, too.
    format: FORMAT.
    layout: as `layout`.
  """

  data: dict[str, Any]
  seed: int
  count: int
  shards: int
  items: dict[str, int]
  first: str
  layout: Layout
  format: int = FORMAT

  def names(self) -> list[str]:
    """The shards' file names."""
    return [f'scenes-{i:05}-of-{self.shards:05}.array_record' for i in range(self.shards)]

  def span(self, shard: int) -> range:
    """The numbers of the scenes in a shard; they differ by at most one between shards."""
    return range(shard * self.count // self.shards, (shard + 1) * self.count // self.shards)

  def to_json(self) -> str:
    """The text of the manifest's file."""
    return json.dumps(dataclasses.asdict(self), indent=2) + '\n'


def digest(data: bytes) -> str:
  """A short name for these bytes."""
  return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_manifest(where: str) -> Manifest:
  """The manifest of a folder or URL.

  Raises:
    InputError: there is none, or none of this format.
  """
  try:
    fields = json.loads(remote.read(where, MANIFEST))
    if fields['format'] not in (1, FORMAT):
      wrong = f'has format {fields["format"]}'
      raise InputError(f'{where}/{MANIFEST}', wrong, f'1 or {FORMAT}; prepare the scenes again')
    fields['data'] = renamed.config(fields['data'], 'data')
    form = {name: (kind, tuple(shape)) for name, (kind, shape) in fields.pop('layout').items()}
    return Manifest(**fields, layout=form)
  except InputError:
    raise
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f'{where}/{MANIFEST}', f'is no manifest ({error!r})', _PREPARE) from error


class _Slice(NamedTuple):
  """A whole shard, as array_record takes it: no file is opened before it is read."""

  filename: str
  skip: int
  take: int
  examples_in_shard: int


class Scenes(Sequence):
  """Prepared scenes by number, decoded on demand; picklable, for worker processes.

  Raises:
    ValueError: on access, a record or its shard is damaged.
  """

  def __init__(self, where: str, files: Sequence[str], manifest: Manifest):
    self.where, self.manifest = where, manifest
    counts = [len(manifest.span(shard)) for shard in range(manifest.shards)]
    slices = [_Slice(str(file), 0, n, n) for file, n in zip(files, counts, strict=True)]
    self.records = grain.sources.ArrayRecordDataSource(slices)
    form = layout(SceneConfig(**{name: manifest.data[name] for name in _SHAPE}))
    added = form.keys() - manifest.layout.keys()
    self.added = {name: np.zeros(form[name][1], form[name][0]) for name in form if name in added}

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    index = range(len(self))[index]
    try:
      return {**decode(self.records[index], self.manifest.layout), **self.added}
    except Exception as error:  # array_record raises RuntimeError, IndexError and others
      reason = re.split(r' \(|; ', str(error))[0]  # Behind it are checksums and positions.
      raise ValueError(f'{self._name(index)}: cannot be decoded ({reason})') from error

  def _name(self, index: int) -> str:
    spans = map(self.manifest.span, range(self.manifest.shards))
    shard, span = next((i, span) for i, span in enumerate(spans) if index in span)
    return f'{self.where}/{self.manifest.names()[shard]}[{index - span.start}]'


def open_scenes(where: str, config: SceneConfig) -> Scenes:
  """The prepared scenes of a folder or URL, if they are of the form that a config asks for.

  Raises:
    InputError: no manifest, shards are missing, another frame, padding or number of layers, or
      surfaces that the config does not have.
  """
  manifest = read_manifest(where)
  for field in (*_SHAPE, *_SURFACES):
    asked, has = getattr(config, field), manifest.data.get(field, 0)
    if asked != has if field in _SHAPE else has and not asked:
      right = f'data.{field}={has} in the config, or scenes prepared with {asked}'
      raise InputError(where, f'its scenes have {field} {has}, the config {asked}', right)
  if manifest.layout != layout(config, manifest.format):
    raise InputError(where, 'its records have other arrays', _PREPARE)
  names = manifest.names()
  folder = remote.fetch(where, {*names}.__contains__)
  files = [folder / name for name in names]
  missing = [file.name for file in files if not file.is_file()]
  if missing:
    wrong = f'{len(missing)} of {len(names)} shards are missing, such as {missing[0]}'
    raise InputError(where, wrong, 'all: the same `depthjax prepare scenes` goes on with them')
  return Scenes(where, files, manifest)
