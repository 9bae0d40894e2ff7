"""Depth refinement on measured scenes: classical baselines and networks by the same scores.

python benchmarks/refinement.py FOLDER [--weights sddr=runs/sddr --pictures DIR --json scores.json]

FOLDER holds `stereo_gt/` (Middlebury 2001 to 2014, one folder per scene) and `depth_sr/` (Art and
Books at full resolution), or one of them; missing scenes are listed and skipped.
"""

import argparse
import pathlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import refinement_scenes
import table
from refinement_scenes import Case, Scene
from rich import progress

from depthjax.files import colormaps, images
from depthjax.files.errors import InputError
from depthjax.metrics import aligned
from depthjax.ops import guided
from depthjax.pipelines import maps
from depthjax.pipelines.refine import baselines, local_alignment, refine
from depthjax.scoring import maps as map_scoring

# Variance below which a window of the fast guided filter counts as flat, as in ops.guided.
_FLAT = 1e-4
# Case -> disparity of the size of the scene [h w 1].
Method = Callable[[Case], np.ndarray]
_COLUMNS = {
  'ORD (a)': 'ord_superpixel',
  'ORD (b)': 'ord',
  'D3R': 'd3r',
  'recall': 'recall',
  'F1': 'f1',
  'RMSE, px': 'rmse_disparity',
  'REL': 'rel',
  'delta1': 'delta1',
}
_SCORES = (
  'Mean and standard deviation over {seeds} seeds of the predictor; in brackets the ratio to the '
  'first row. Each scene has the same weight. ORD (a): superpixels, as in Boost; (b): ranking, as '
  'in SDDR, with edges of the photograph. Recall and F1 of depth boundaries within one pixel. RMSE '
  'of disparity, REL and delta1 of depth, all after least-squares scale and shift. Higher is '
  'better for recall, F1 and delta1, lower for the others.'
)
_MAPS = (
  'Low and high are predictions simulated from the measured truth. The low map of Art and Books is '
  'the truth at 1/8 or 1/16 of the size with noise of 5 px, or the one of the authors of the '
  'bilateral solver. Depth is the inverse of the disparity in the files; only for Motorcycle do '
  'they hold the offset needed for true depth.'
)
_HEIGHT = 360  # Largest height of a map in a picture.


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  scenes, absent = refinement_scenes.found(args.folder, args.scenes)
  for path in absent:
    print(f'skipped: {path} does not exist')
  if not scenes:
    print(f'{args.folder}: no scenes found')
    return None
  if args.pictures:
    args.pictures.mkdir(parents=True, exist_ok=True)
  refiners = methods(dict(args.weights) if args.weights else builtin(), args.ensemble)
  report, values = table.Report(), {}
  for name, load in progress.track(scenes.items(), description='scenes'):
    scene = load()
    truth = map_scoring.Truth(scene.disparity, scene.valid, scene.photo)
    for seed in range(args.seeds):
      case = refinement_scenes.case(scene, seed)
      results = {name: method(case)[..., 0] for name, method in refiners.items()}
      for method, result in results.items():
        values[name, method, seed] = truth.scores(result)
      if args.pictures and not seed:
        draw(args.pictures / f'{name.replace(" ", "_")}.png', scene, results)
  print_tables(report, values, list(scenes), list(refiners), args.seeds)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('folder', type=pathlib.Path)
  result.add_argument(
    '--weights',
    nargs='+',
    type=_named,
    metavar='NAME=RUN',
    help='networks; default: the built-in one',
  )
  result.add_argument('--scenes', nargs='+', choices=list(refinement_scenes.SCENES))
  result.add_argument('--seeds', type=int, default=3, help='seeds of the simulated predictor')
  result.add_argument('--ensemble', type=int, default=1, help='adds the mean of this many views')
  result.add_argument('--pictures', type=pathlib.Path, help='folder for side-by-side pictures')
  result.add_argument('--json', type=pathlib.Path)
  return result


def methods(networks: Mapping[str, refine.Refiner], ensemble: int = 1) -> dict[str, Method]:
  """Methods by name: the inputs, the classical methods, then networks."""
  result = {
    'initial': lambda case: maps.resized(case.small, case.high.shape[:2]),
    'high alone': lambda case: case.high,
    'bicubic': lambda case: case.low,
    'guided by the photo': lambda case: baselines.guided_filter(
      case.low, np.asarray(guided.grey(case.photo))
    ),
    'guided by high': lambda case: baselines.guided_filter(case.low, case.high),
    'guided by high, fast': lambda case: local_alignment.fitted(case.low, [case.high], [_FLAT]),
    'Poisson': lambda case: baselines.poisson_fusion(case.low, case.high),
  }
  for name, network in networks.items():
    kinds = {f'{name}, global alignment': {'local': False}, name: {}}
    if ensemble > 1:
      kinds[f'{name}, ensemble of {ensemble}'] = {'ensemble': ensemble}
    for title, fields in kinds.items():
      fields = {'refiner': network, **fields}
      result[title] = lambda case, fields=fields: refine.refine(case.low, case.high, **fields)
  return result


def builtin() -> dict[str, refine.Refiner]:
  """The built-in network, if there is one."""
  try:
    return {'ours': refine.builtin()}
  except InputError as error:
    print(f'networks are skipped: {error}')
    return {}


def print_tables(
  report: table.Report,
  values: Mapping[tuple[str, str, int], Mapping[str, float]],
  scenes: list[str],
  methods: list[str],
  seeds: int,
) -> None:
  """Prints the mean over the scenes and the scores of each scene."""
  rows = []
  for method in methods:
    means, start = (
      [_mean([values[scene, name, seed] for scene in scenes]) for seed in range(seeds)]
      for name in (method, methods[0])
    )
    rows.append({'method': method, **_cells(means, start)})
  report.table('mean over the scenes', rows, _SCORES.format(seeds=seeds), _MAPS)
  rows = [
    {
      'scene': scene,
      'method': method,
      **_cells([values[scene, method, seed] for seed in range(seeds)]),
    }
    for scene in scenes
    for method in methods
  ]
  report.table('each scene', rows)


def _mean(rows: list[Mapping[str, float]]) -> dict[str, float]:
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _cells(rows: list[Mapping[str, float]], start: list[Mapping[str, float]] | None = None):
  cells = {}
  for column, name in _COLUMNS.items():
    values = [row[name] for row in rows]
    cells[column] = f'{np.mean(values):.3f} ±{np.std(values):.3f}'
    if start:
      cells[column] += f' ({np.mean(values) / np.mean([row[name] for row in start]):.2f})'
  return cells


def draw(path: pathlib.Path, scene: Scene, results: Mapping[str, np.ndarray]) -> None:
  """The photograph, each result and the truth from left to right, with the errors below.

  Results are aligned to the truth by least squares. Errors above 1/8 of the range are white; pixels
  without truth are black.
  """
  valid, truth = scene.valid, scene.disparity
  low, span = truth[valid].min(), np.ptp(truth[valid])
  top, bottom = [scene.photo], [np.zeros_like(scene.photo)]
  for result in results.values():
    scale, shift = aligned.line(result[valid], truth[valid])
    result = (scale * result + shift - low) / span
    error = np.where(valid, abs(result - (truth - low) / span), 0)
    top.append(colormaps.colour(result))
    bottom.append(np.repeat(np.clip(8 * error, 0, 1)[..., None], 3, axis=-1))
  top.append(colormaps.colour(np.where(valid, (truth - low) / span, 0)))
  bottom.append(np.zeros_like(scene.photo))
  rows = [np.concatenate([_shrunk(x) for x in row], axis=1) for row in (top, bottom)]
  images.write_image(path, np.clip(np.concatenate(rows), 0, 1))


def _shrunk(picture: np.ndarray) -> np.ndarray:
  h, w = picture.shape[:2]
  scale = min(1, _HEIGHT / h)
  size = (round(w * scale), round(h * scale))
  return cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _named(text: str) -> tuple[str, refine.Refiner]:
  name, _, path = text.rpartition('=')
  try:
    return name or 'ours', refine.load(path)
  except InputError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == '__main__':
  main()
