"""Refinement by masks on measured scenes whose resolution is reduced.

python benchmarks/layered.py FOLDER [--json layered.json]

FOLDER holds `stereo_gt/` (Middlebury 2001 to 2014, one folder per scene).
"""

import argparse
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
import refinement_scenes
import table

from depthjax.files import depth as depth_files
from depthjax.metrics import depth, masks
from depthjax.ops import alignment
from depthjax.pipelines import maps
from depthjax.pipelines.mask_refine import fill

_SCENES = ('motorcycle', 'cones', 'teddy', 'art', 'dolls', 'cloth', 'tsukuba')
_QUANTILES = np.arange(20, 91, 5) / 100  # Of the truth, candidates for the threshold of the mask.
_STEP = 0.05  # Difference of neighbours, in fractions of the range, that counts as a step of depth.
_BORDER = 5  # Distance in pixels from the border of the mask within which errors are listed.
_RESOLUTION = 0.22  # Size of the reduced map in fractions of the size of the truth.
_NOTE = (
  'Means over the scenes. RMSE and MBE are in fractions of the range of the truth, after one scale '
  'and offset. R3 is the ratio of the summed counts of improved and harmed pixels, relative to the '
  'first row. MBE and R3 are as defined here, not in the paper.'
)


class Case(NamedTuple):
  """A scene: true disparity in [0, 1], valid pixels, initial map and mask, all [h w 1]."""

  truth: np.ndarray
  valid: np.ndarray
  initial: np.ndarray
  mask: np.ndarray


METHODS: dict[str, Callable[[Case], np.ndarray]] = {
  'initial': lambda case: case.initial,
  'fill, from 6 px inside': lambda case: fill.refine(
    case.initial, case.mask, distance=6 / max(case.mask.shape)
  ),
  'fill': lambda case: fill.refine(case.initial, case.mask),
}


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  scenes, absent = refinement_scenes.found(args.folder, _SCENES)
  for path in absent:
    print(f'skipped: {path} does not exist')
  if not scenes:
    print(f'{args.folder}: no scenes found')
    return None
  report = table.Report()
  cases = {name: case(load()) for name, load in scenes.items()}
  scores = {
    name: [measured(f(case), case) for case in cases.values()] for name, f in METHODS.items()
  }
  report.table('reduced resolution', [_row(*item) for item in scores.items()], _NOTE)
  rows = [
    {'scene': scene, 'mask': float(cases[scene].mask.mean())}
    | {name: each[i]['RMSE at the border'] for name, each in scores.items()}
    for i, scene in enumerate(cases)
  ]
  report.table('RMSE at the border', rows, 'mask: fraction of the pixels inside.')
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('folder', type=pathlib.Path)
  result.add_argument('--json', type=pathlib.Path)
  return result


def case(scene: refinement_scenes.Scene) -> Case:
  """The initial map is the truth, reduced by the mean over areas and enlarged with cubics."""
  shape, valid = scene.valid.shape, scene.valid[..., None]
  truth = depth_files.to_unit_range(depth_files.fill(scene.disparity, scene.valid))[..., None]
  small = maps.resized(truth, tuple(round(_RESOLUTION * n) for n in shape))
  initial = maps.resized(small, shape, cv2.INTER_CUBIC)
  return Case(truth, valid, initial, best_mask(truth, valid))


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


def measured(result: np.ndarray, case: Case) -> table.Row:
  """Errors of a map [h w 1] in fractions of the range of the truth, and the counts of R3."""
  scores = _scores(*(x[None] for x in (result, _border(case.mask), *case)))
  return {name: float(value[0]) for name, value in scores.items()}


@jax.jit
def _scores(result, border, truth, valid, initial, mask) -> dict[str, Any]:
  fitted = alignment.align(result, truth, valid * 1.0)
  change = masks.r3(initial, result, truth, valid)
  return {
    'RMSE at the border': depth.rmse(fitted, truth, valid & border).value,
    'RMSE of all': depth.rmse(fitted, truth, valid).value,
    'improved': change.improved.value,
    'harmed': change.harmed.value,
    **{f'MBE {n}': masks.mbe(result, truth, mask, valid, side=n).value for n in masks.SIDES},
  }


def _border(mask: np.ndarray) -> np.ndarray:
  """Pixels at most 5 pixels from a pixel of the other side, bool [h w 1]."""
  sides = (np.uint8(x) for x in (mask, 1 - mask))
  away = sum(cv2.distanceTransform(x, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for x in sides)
  return away[..., None] <= _BORDER


def _row(name: str, scenes: list[table.Row]) -> table.Row:
  mean = {key: float(np.mean([scene[key] for scene in scenes])) for key in scenes[0]}
  improved, harmed = (sum(scene[key] for scene in scenes) for key in ('improved', 'harmed'))
  return {'method': name, **mean, 'R3': (improved or harmed == 0) / (harmed or 1)}


if __name__ == '__main__':
  main()
