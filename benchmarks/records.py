"""Prepared scenes for the benchmark of the input: writing them, and the time to read records."""

import collections
import functools
import pathlib
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import ml_collections
import numpy as np
import table
from array_record.python import array_record_module

from depthjax.data import splits
from depthjax.data.records import scene
from depthjax.data.sources import shards
from depthjax.prepare import scenes

Record = dict[str, np.ndarray]
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class Encoding(NamedTuple):
  """An encoding of records as bytes, and the writer options of array_record."""

  encode: Callable[[Record], bytes]
  decode: Callable[[bytes], Record]
  options: str


def prepare(config: ml_collections.ConfigDict, folder: pathlib.Path, count: int) -> str:
  """Draws `count` scenes of a config into a folder, as `depthjax prepare scenes` does."""
  fields = config.data.to_dict()
  plan = scenes.plan(fields, folder, seed=config.seed, count=count, count_shards=min(4, count))
  scenes.write(plan, fields, workers=0)
  return str(folder)


def encodings(report: table.Report, config: ml_collections.ConfigDict, args: Any) -> None:
  """Reads and decodes the same records in several encodings, interleaved with drawing them."""
  drawn, _ = splits.drawn(config.data.to_dict(), config.seed)
  records = [drawn[i] for i in range(args.scenes)]
  with tempfile.TemporaryDirectory() as folder:
    files = {
      name: _Written(encoding, records, pathlib.Path(folder, f'{number}.array_record'))
      for number, (name, encoding) in enumerate(_encodings(config).items())
    }
    measures = {name: file.measure for name, file in files.items()}
    measures['drawn'] = functools.partial(_clocked, drawn.__getitem__, args.scenes)
    times = table.interleaved(measures, args.repeats)
  raw = sum(value.nbytes for value in records[0].values())
  rows = [
    {
      'encoding': name,
      'drawing / reading': table.ratio(times['drawn'], times[name]),
      'ms to read': table.spread(1e3 * s / args.scenes for s in times[name]),
      'kB per scene': file.size / args.scenes / 1e3,
      'fraction of the raw bytes': file.size / args.scenes / raw,
      'ms to write': 1e3 * file.seconds / args.scenes,
    }
    for name, file in files.items()
  ]
  milliseconds = table.spread(1e3 * s / args.scenes for s in times['drawn'])
  title = f'records: {config.data.layers} layers, {config.data.height}x{config.data.width}'
  note = f'One core; files in the page cache. Drawing takes {milliseconds} ms per scene.'
  report.table(title, rows, note)


def _encodings(config: ml_collections.ConfigDict) -> dict[str, Encoding]:
  form = shards.layout(scene.config(config.data.to_dict()))
  raw = functools.partial(shards.encode, form=form), functools.partial(shards.decode, form=form)
  png = _png, functools.partial(_from_png, form=form)
  return {
    'bytes, zstd:3 (ours)': Encoding(*raw, shards.WRITER_OPTIONS),
    'bytes, zstd:1': Encoding(*raw, 'group_size:1,zstd:1'),
    'bytes, brotli:1': Encoding(*raw, 'group_size:1,brotli:1'),
    'bytes, uncompressed': Encoding(*raw, 'group_size:1,uncompressed'),
    'PNG layers': Encoding(*png, 'group_size:1,uncompressed'),
  }


class _Written:
  """Records in a file, checked to be read back unchanged."""

  def __init__(self, encoding: Encoding, records: Sequence[Record], path: pathlib.Path):
    self.encoding, self.count = encoding, len(records)
    begin = time.perf_counter()
    writer = array_record_module.ArrayRecordWriter(str(path), encoding.options)
    for record in records:
      writer.write(encoding.encode(record))
    writer.close()
    self.seconds, self.size = time.perf_counter() - begin, path.stat().st_size
    options = {'options': 'readahead_buffer_size:0', 'file_reader_buffer_size': 32768}
    self.reader = array_record_module.ArrayRecordReader(str(path), **options)
    for number, record in enumerate(records):
      back = self.read(number)
      if any((back[name] != value).any() for name, value in record.items()):
        raise AssertionError('the encoding is not lossless')

  def read(self, number: int) -> Record:
    return self.encoding.decode(self.reader.read([number])[0])

  def measure(self) -> float:
    return _clocked(self.read, self.count)


def _clocked(function: Callable[[int], Any], count: int) -> float:
  """Seconds to call the function with 0 to count - 1."""
  begin = time.perf_counter()
  for number in range(count):
    function(number)
  return time.perf_counter() - begin


def _png(record: Record) -> bytes:
  """Colours and alphas of each layer, and the silhouettes, as PNG; other values as raw bytes."""
  layers = record['layers']
  pictures = [np.ascontiguousarray(layer[..., :3]) for layer in layers]
  pictures += [np.ascontiguousarray(layer[..., 3]) for layer in layers] + [*record['observed']]
  parts = [cv2.imencode('.png', picture, _FAST)[1].tobytes() for picture in pictures]
  rest = {name: x for name, x in record.items() if name not in ('layers', 'observed')}
  parts.append(b''.join(np.asarray(value).tobytes() for value in rest.values()))
  return struct.pack(f'<{len(parts)}I', *map(len, parts)) + b''.join(parts)


def _from_png(data: bytes, form: shards.Layout) -> Record:
  form = collections.OrderedDict(form)
  shape, seen = form.pop('layers')[1], form.pop('observed')[1]
  count = 2 * shape[0] + seen[0] + 1
  start, pictures = 4 * count, []
  for size in struct.unpack_from(f'<{count}I', data):
    pictures.append(np.frombuffer(data, np.uint8, size, start))
    start += size
  *pictures, rest = pictures
  pictures = [cv2.imdecode(picture, cv2.IMREAD_UNCHANGED) for picture in pictures]
  layers = np.empty(shape, np.uint8)
  for layer, colour, alpha in zip(layers, pictures, pictures[shape[0] :], strict=False):
    cv2.merge([colour, alpha], layer)
  observed = np.stack(pictures[2 * shape[0] :])
  return {'layers': layers, 'observed': observed, **shards.decode(rest.tobytes(), form)}
