"""Refinement by masks: measured scenes, and depth maps of a real predictor.

python benchmarks/layered.py FOLDER [--weights FILE --input-sizes 256 320 --json layered.json]

FOLDER holds `stereo_gt/` (Middlebury 2001 to 2014, one folder per scene), `depth_sr/` (Art and
Books at full resolution) and `masks/maskdepth/`, or some of them; missing files are listed.
"""

import argparse
import operator
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import jax
import layered_predictions
import numpy as np
import refinement_scenes
import table
from layered_predictions import Method, filled

from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.metrics import depth, masks
from depthjax.ops import alignment
from depthjax.pipelines import maps
from depthjax.pipelines.mask_refine import learned
from depthjax.pipelines.mask_refine import masks as mask_lib

_SCENES = ('motorcycle', 'cones', 'teddy', 'art', 'dolls', 'cloth', 'tsukuba')
_HALVED = {'art x8': 'art, half size', 'books x8': 'books, half size'}
_QUANTILES = np.arange(20, 91, 5) / 100  # Of the truth, candidates for the threshold of the mask.
_STEP = 0.05  # Difference of neighbours, in fractions of the range, that counts as a step of depth.
_BORDER = 5  # Distance in pixels from the border of the mask within which errors are listed.
_RESOLUTION = 0.22  # Size of the reduced map in fractions of the size of the truth.
_AT_BORDER, _OF_ALL = 'RMSE at the border', 'RMSE of all'
_COLUMNS = (_AT_BORDER, _OF_ALL, *(f'MBE {n}' for n in masks.SIDES), 'improved', 'harmed')
_NOTE = (
  'Means over the scenes. RMSE and MBE are in fractions of the range of the truth, after one scale '
  'and offset. R3 is the ratio of the summed counts of improved and harmed pixels, relative to the '
  'first row. MBE and R3 are as defined here, not in the paper.'
)
_GOALS = 'Goals with the simulated predictor: at most 0.9, two thirds, above 1, at most 1.'


class Case(NamedTuple):
  """A scene: true disparity in [0, 1], valid pixels, initial map and mask, all [h w 1].

  The photograph is [h w 3].
  """

  truth: np.ndarray
  valid: np.ndarray
  initial: np.ndarray
  mask: np.ndarray
  photo: np.ndarray


METHODS: dict[str, Method] = {
  'initial': lambda case: case.initial,
  'fill, from 6 px inside': filled(6),
  'fill': filled(),
}


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  found, absent = refinement_scenes.found(args.folder, (*_SCENES, *_HALVED))
  real, missing = layered_predictions.found(args.folder)
  for path in absent + missing:
    print(f'skipped: {path} does not exist')
  if not found and not real:
    print(f'{args.folder}: no scenes found')
    return None
  network, report = args.weights or learned.builtin(), table.Report()
  ours = {f'ours, {n} px': _learned(network, n) for n in args.input_sizes or [network.trained_size]}
  scenes = {
    _HALVED.get(name, name): halved(load()) if name in _HALVED else load()
    for name, load in found.items()
  }
  cases = {name: reduced(scene) for name, scene in scenes.items()}
  seven = {name: [case] for name, case in cases.items() if name in _SCENES}
  compare(report, 'reduced resolution', seven, ours)
  seeds = range(args.seeds)
  drawn = {name: [simulated(cases[name], x, seed) for seed in seeds] for name, x in scenes.items()}
  compare(report, f'simulated predictor, {args.seeds} seeds', drawn, ours)
  layered_predictions.compare(report, real, ours)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('folder', type=pathlib.Path)
  result.add_argument('--weights', type=_network, help='a run or a file; default: built-in')
  text = "long sides of the network's maps, px; default: as in training"
  result.add_argument('--input-sizes', type=int, nargs='*', help=text)
  result.add_argument('--seeds', type=int, default=3, help='seeds of the simulated predictor')
  result.add_argument('--json', type=pathlib.Path)
  return result


def _network(path: str) -> learned.Network:
  try:
    return learned.load(path)
  except InputError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def _learned(network: learned.Network, input_size: int) -> Method:
  """The network's layers, composited with fields of `masks.composite`."""
  inputs = operator.attrgetter('photo', 'initial', 'mask')
  return lambda case, **fields: mask_lib.composite(
    learned.layers(*inputs(case), network, input_size=input_size), case.mask, **fields
  )


def halved(scene: refinement_scenes.Scene) -> refinement_scenes.Scene:
  """Every second pixel of the truth, since means of it would mix surfaces."""
  h, w = (n // 2 for n in scene.valid.shape)
  disparity, valid = (x[: 2 * h : 2, : 2 * w : 2] for x in (scene.disparity, scene.valid))
  photo = cv2.resize(scene.photo, (w, h), interpolation=cv2.INTER_AREA)
  return refinement_scenes.Scene(disparity, valid, photo)


def reduced(scene: refinement_scenes.Scene) -> Case:
  """The initial map is the truth, reduced by the mean over areas and enlarged with cubics."""
  shape, valid = scene.valid.shape, scene.valid[..., None]
  truth = depth_files.to_unit_range(depth_files.fill(scene.disparity, scene.valid))[..., None]
  small = maps.resized(truth, tuple(round(_RESOLUTION * n) for n in shape))
  initial = maps.resized(small, shape, cv2.INTER_CUBIC)
  return Case(truth, valid, initial, best_mask(truth, valid), scene.photo)


def simulated(case: Case, scene: refinement_scenes.Scene, seed: int) -> Case:
  """The initial map is the low one of the simulated predictor."""
  return case._replace(initial=refinement_scenes.case(scene, seed).low)


def best_mask(truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
  """The nearer side of a threshold, float32 [h w 1]: that with the most steps along its border.

  Thresholds are quantiles of the valid truth; each mask is opened by 3 x 3 pixels.
  """
  thresholds = np.quantile(truth[valid], _QUANTILES)
  square = np.ones((3, 3), np.uint8)
  nearer = [cv2.morphologyEx(np.uint8(truth > t), cv2.MORPH_OPEN, square) for t in thresholds]
  best = max(nearer, key=lambda mask: _steps(truth, valid, mask[..., None]))
  return best[..., None].astype(np.float32)


def _steps(truth: np.ndarray, valid: np.ndarray, mask: np.ndarray) -> float:
  """Fraction of the valid 4-neighbours across the border of the mask that are a step of depth."""
  found = []
  for axes in ((0, 1, 2), (1, 0, 2)):
    x, known, inside = (z.transpose(axes) for z in (truth, valid, mask))
    across = (inside[1:] != inside[:-1]) & known[1:] & known[:-1]
    found.append(np.abs(x[1:] - x[:-1])[across])
  return np.count_nonzero(np.concatenate(found) > _STEP) / max(sum(map(len, found)), 1)


def compare(
  report: table.Report,
  title: str,
  scenes: Mapping[str, Sequence[Case]],
  ours: Mapping[str, Method],
) -> None:
  """Prints the errors of all methods; each scene has a case for each seed."""
  if not scenes:
    return
  scores = {
    name: [_mean([measured(method(case), case) for case in cases]) for cases in scenes.values()]
    for name, method in (METHODS | ours).items()
  }
  means = {name: _mean(rows) for name, rows in scores.items()}
  for row in means.values():
    row['R3'] = (row['improved'] or row['harmed'] == 0) / (row['harmed'] or 1)
  report.table(title, [{'method': name, **row} for name, row in means.items()], _NOTE)
  rows = [
    {'scene': scene, 'mask': float(cases[0].mask.mean())}
    | {name: each[i][_AT_BORDER] for name, each in scores.items()}
    for i, (scene, cases) in enumerate(scenes.items())
  ]
  report.table(f'{title}: {_AT_BORDER}', rows, 'mask: fraction of the pixels inside.')
  rows = [
    {
      'method': name,
      'at the border, over fill': means[name][_AT_BORDER] / means['fill'][_AT_BORDER],
      'scenes ahead of fill': sum(row[name] < row['fill'] for row in rows) / len(rows),
      'R3, over fill': means[name]['R3'] / means['fill']['R3'],
      'of all, over initial': means[name][_OF_ALL] / means['initial'][_OF_ALL],
    }
    for name in ours
  ]
  report.table(f'{title}: ratios', rows, _GOALS)


def _mean(rows: Sequence[table.Row]) -> table.Row:
  return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def measured(result: np.ndarray, case: Case) -> table.Row:
  """Errors of a map [h w 1] in fractions of the range of the truth, and the counts of R3."""
  scores = _scores(*(x[None] for x in (result, _border(case.mask), *case[:4])))
  return {name: float(scores[name][0]) for name in _COLUMNS}


@jax.jit
def _scores(result, border, truth, valid, initial, mask) -> dict[str, Any]:
  fitted = alignment.align(result, truth, valid * 1.0)
  change = masks.r3(initial, result, truth, valid)
  return {
    _AT_BORDER: depth.rmse(fitted, truth, valid & border).value,
    _OF_ALL: depth.rmse(fitted, truth, valid).value,
    'improved': change.improved.value,
    'harmed': change.harmed.value,
    **{f'MBE {n}': masks.mbe(result, truth, mask, valid, side=n).value for n in masks.SIDES},
  }


def _border(mask: np.ndarray) -> np.ndarray:
  """Pixels at most 5 pixels from a pixel of the other side, bool [h w 1]."""
  sides = (np.uint8(x) for x in (mask, 1 - mask))
  away = sum(cv2.distanceTransform(x, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for x in sides)
  return away[..., None] <= _BORDER


if __name__ == '__main__':
  main()
