"""`depthjax score`: scores every record of a dataset and prints the means."""

import functools
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rich import progress
from rich.console import Console

from depthjax.commands import runner
from depthjax.commands.options import Method
from depthjax.commands.score import Options, Protocol
from depthjax.commands.work import tables
from depthjax.configuring import ConfigError
from depthjax.data.records import evaluation as records_lib
from depthjax.files import atomic
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.metrics import booster
from depthjax.models.predictors import predictor as predictor_lib
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors
from depthjax.pipelines.refocus import refocus as refocus_lib
from depthjax.scoring import photographs, tom
from depthjax.train.errors import NotFinite

Record = dict[str, Any]
# Renderer or prediction -> metric -> value.
Scores = dict[str, photographs.Scores]

# Metrics that are averaged: title and format of the column.
_COLUMNS = {
  'psnr': ('PSNR, dB', '.2f'),
  'ssim': ('SSIM', '.3f'),
  'psnr_edge': ('PSNR at edges', '.2f'),
  'ssim_edge': ('SSIM at edges', '.3f'),
  'radius': ('radius, px', '.1f'),
  'mae_spline': ('MAE after spline', '.4f'),
  **{name: (name.replace('delta_', 'δ'), '.2f') for name in booster.METRICS},
  'mae': ('MAE, mm', '.2f'),
  'absrel': ('AbsRel', '.4f'),
  'rmse': ('RMSE, mm', '.2f'),
}
_EDGES = (
  f'Edges: pixels within 1/{1 / photographs.EDGE_BAND:.0f} of the long side from a step of the '
  "record's disparity."
)
_DEPTH = (
  'Mean absolute error of disparity over valid pixels, the truth in [0, 1], after fitting a spline '
  'with 5 knots; "constant" is the best constant.'
)
_TOM = (
  'Errors of depth after one scale and shift of disparity over all valid pixels; tom: transparent '
  'and mirror surfaces. δ: percent of pixels whose ratio to the truth, or its inverse, is smaller. '
  'Means over the images with such pixels, {}.'
)
_PUBLISHED = 'at every fourth pixel of the truth: the published protocol'

# A function that scores a record, and a note for the table.
Job = tuple[Callable[[Record], Scores], str]


def run(options: Options) -> None:
  """Scores the records of a dataset."""
  options = options._replace(method=options.method or [], radius=options.radius or [])
  output, split = options.output, options.split
  if output is not None:
    atomic.check_output(output, ('.json',))
  found = _open(options.dataset, split.value)
  work, note = _job(found, options)
  total = min(len(found), options.examples or len(found))
  scores, failed = _score_all(found, total, work)
  if scores:
    means = _means(scores)
    _print(f'{found.part.where}, {split}: {len(scores)} of {len(found)} records', means, note)
    if output is not None:
      names = ('method', 'weights', 'radius', 'predictor', 'depths', 'protocol')
      given = {name: getattr(options, name) for name in names}
      result = {'dataset': found.part.where, 'split': split, 'in_split': len(found)}
      result |= {'options': given, 'note': note, 'means': means}
      atomic.write_json(output, {**result, 'records': scores, 'failed': failed})
  if failed:
    raise ConfigError(f'{len(failed)} of {total} records failed')
  if broken := [name for name, rows in scores.items() if _has_nan(rows)]:
    wrong = f'{len(broken)} of {total} records have NaN scores, such as {broken[0]}'
    raise NotFinite(f'{wrong}; the renderer or network must return finite values')


def _open(dataset: str, split: str) -> records_lib.Records:
  """The records of a folder or of a TFDS name."""
  if not dataset.startswith('tfds:'):
    folder = pathlib.Path(dataset).expanduser()
    dataset = f'tfds:{folder.absolute() if folder.is_dir() else dataset}'
  with runner.refusals():
    return records_lib.open_records(dataset, split)


def _job(found: records_lib.Records, options: Options) -> Job:
  """Scores renderers if the records have targets, else depth; refuses options that don't fit."""
  where, pairs = found.part.where, 'target' in found.fields
  materials = not pairs and 'tom' in found.fields
  predict = _predictor(options.predictor, options.depths, own_size=materials)
  if predict is None and not (pairs and 'disparity' in found.fields):
    lack = 'disparity' if pairs else 'wide-aperture targets, only depth'
    raise ConfigError(f'{where}: the records have no {lack}; give --predictor or --depths')
  published = options.protocol == Protocol.published
  info = found.part.records.dataset_info
  if published and (info.name != 'booster' or (info.metadata or {}).get('long_side')):
    wrong = 'the records are not those of booster at full size'
    raise ConfigError(f'{where}: {wrong}; omit --protocol=published')
  if pairs:
    return _refocusing(options, predict, 'blur' in found.fields)
  if options.method or options.weights or options.radius:
    wrong = 'the records have no wide-aperture targets'
    raise ConfigError(f'{where}: {wrong}; omit --method, --weights and --radius')
  if materials:
    work = lambda record: tom.score(record, predict(record), published=published)  # noqa: E731
    return work, _TOM.format(_PUBLISHED if published else 'at full resolution')
  return lambda record: photographs.score_depth(record, predict(record)), _DEPTH


def _refocusing(options: Options, predict: Callable | None, with_lens: bool) -> Job:
  """Scores renderers with the records' disparity, or with a predicted one."""
  for radius in options.radius:
    if not 0 < radius < math.inf:
      raise ConfigError(f'--radius is {radius:g}; it must be a positive number of pixels')
  methods, path, learned = set(options.method or Method), options.weights, None
  if methods != {Method.classical}:
    learned = refocus_lib.builtin() if path is None else refocus_lib.load(path)
  elif path is not None:
    wrong = '--weights is given, which --method=classical does not use'
    raise ConfigError(f'{wrong}; omit one of them')
  chosen = {name: x for name, x in photographs.renderers(learned).items() if name in methods}
  known = with_lens and predict is None and not options.radius
  lens = 'as in the records' if known else 'the best one for each renderer'

  def work(record: Record) -> Scores:
    disparity = None if predict is None else predict(record)
    return photographs.score_pair(record, chosen, disparity=disparity, radii=options.radius)

  return work, f'Lens: {lens}. {_EDGES}'


def _predictor(
  which: str | None, folder: pathlib.Path | None, own_size: bool
) -> Callable[[Record], np.ndarray] | None:
  """Disparity of a record from a network or a folder of maps, if one of them is given.

  It has the size of the picture, or if `own_size` that of the network's output or of the map.
  """
  if which is not None and folder is not None:
    raise ConfigError('--predictor and --depths are given; give one of them')
  if which is not None:
    network = predictors.load(which)
    if own_size:
      raw = functools.partial(depth_lib.network_output, predictor=network)
      return lambda record: predictor_lib.near_large(network, raw(record['image']))
    return lambda record: depth_lib.predict(record['image'], network)
  if folder is None:
    return None
  if not folder.is_dir():
    wrong = 'is not a folder' if folder.exists() else 'does not exist'
    raise InputError(folder, wrong, 'a folder of disparity maps')
  return functools.partial(_read_map, folder, own_size)


def _read_map(folder: pathlib.Path, own_size: bool, record: Record) -> np.ndarray:
  """Reads the map with a record's name, of its own size and range or resized to the picture."""
  stem = folder / record['name']
  paths = (pathlib.Path(f'{stem}{ending}') for ending in depth_files.READABLE)
  found = [path for path in paths if path.is_file()]
  if len(found) != 1:
    wrong = f'has {len(found) or "no"} disparity maps'
    raise InputError(stem, wrong, f'one, ending in {", ".join(depth_files.READABLE)}')
  fields = {'percentiles': (0, 100)} if own_size else {'shape': record['image'].shape[:2]}
  return depth_files.read_depth(found[0], **fields).disparity


def _score_all(
  found: records_lib.Records, total: int, work: Callable[[Record], Scores]
) -> tuple[dict[str, Scores], list[str]]:
  """Scores by record name, and one line for each failed record."""
  scores, failed = {}, []
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
    for i in bar.track(range(total), description='records'):
      name = found.part.names[i]
      try:
        record = found[i]
        name = record.setdefault('name', name)
        scores[name] = work(record)
      except ValueError as error:
        failed.append(f'{name}: {error}')
        runner.say(failed[-1])
  return scores, failed


def _has_nan(rows: Scores) -> bool:
  return any(math.isnan(value) for row in rows.values() for value in row.values())


def _means(scores: dict[str, Scores]) -> Scores:
  """Means over the records that have a score: those without edges have none at edges."""
  result: Scores = {}
  for name in next(iter(scores.values())):
    rows = [record[name] for record in scores.values()]
    known = {metric: [row[metric] for row in rows if metric in row] for metric in _COLUMNS}
    result[name] = {metric: float(np.mean(values)) for metric, values in known.items() if values}
  return result


def _print(title: str, means: Scores, note: str) -> None:
  """Prints a table with one row per renderer or prediction."""
  shown = [metric for metric in _COLUMNS if any(metric in row for row in means.values())]
  body = []
  for name, row in means.items():
    values = ((row.get(metric), _COLUMNS[metric][1]) for metric in shown)
    body.append([name, *('-' if x is None else f'{x:{form}}' for x, form in values)])
  print(title)
  tables.show(['', *(_COLUMNS[metric][0] for metric in shown)], body)
  print(note)
