"""Refocusing large photographs: seconds and peak memory of the three methods, by size.

python benchmarks/photo_sizes.py [--sizes 4000x3000 8000x6000 --against TREE --json sizes.json]

TREE is another checkout of depthjax, measured after this one for each method and size.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import cv2
import numpy as np
import table

from depthjax.pipelines.refocus import refocus

_METHODS = ('learned', 'classical', 'hybrid')


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  if args.measure:
    print(json.dumps(measured(*args.measure, args.aperture)))
    return None
  report, rows = table.Report(), []
  for size in args.sizes:
    for method in args.methods:
      trees = [table.ROOT, *([args.against] if args.against else [])]
      found = [_child(tree, method, size, args.aperture) for tree in trees]
      row = {'size': size, 'method': method, 'seconds': found[0][0], 'peak, MiB': found[0][1]}
      if args.against:
        row |= {'seconds, other': found[1][0], 'peak, other': found[1][1]}
        row['other / this'] = found[1][0] / found[0][0]
      rows.append(row)
      print(row, flush=True)
  report.table(
    f'aperture {args.aperture:g}, focus on the nearest',
    rows,
    'Each cell is a separate process and its first picture; programs are compiled before by a '
    'picture of the same kind at a quarter of the size. Peak: resident memory of the process.',
  )
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--sizes', nargs='+', default=['4000x3000', '8000x6000'])
  result.add_argument('--methods', nargs='+', choices=_METHODS, default=_METHODS)
  result.add_argument('--aperture', type=float, default=0.6)
  result.add_argument('--against', type=pathlib.Path, help='another checkout')
  result.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
  result.add_argument('--json', type=pathlib.Path)
  return result


def measured(method: str, size: str, aperture: float) -> tuple[float, float]:
  """Seconds of a picture, and the peak memory of this process in MiB."""
  w, h = map(int, size.split('x'))
  learned = None if method == 'classical' else refocus.builtin()
  fields = {'focus': 1.0, 'learned': learned, 'hybrid': method == 'hybrid'}
  # Compiles most of the programs.
  small = scene(h // 4, w // 4)
  refocus.refocus(*small, radius=refocus.radius_of(aperture, small[0].shape[:2]), **fields)
  photo, disparity = scene(h, w)
  radius = refocus.radius_of(aperture, (h, w))
  begin = time.perf_counter()
  refocus.refocus(photo, disparity, radius=radius, **fields)
  seconds = time.perf_counter() - begin
  return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scene(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
  """Texture on a ground that recedes to the horizon, with three objects at different depths."""
  noise = np.random.default_rng(0).random((h // 8, w // 8, 3), np.float32)
  photo = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR)
  disparity = np.zeros((h, w), np.float32)
  disparity[h // 2 :] = np.linspace(0, 0.8, h - h // 2, dtype=np.float32)[:, None]
  for x, near in ((0.2, 0.3), (0.5, 1.0), (0.8, 0.6)):
    cv2.circle(disparity, (int(x * w), int(0.55 * h)), h // 6, near, -1)
  return photo, disparity[..., None]


def _child(tree: pathlib.Path, method: str, size: str, aperture: float) -> tuple[float, float]:
  command = [sys.executable, __file__, '--measure', method, size, '--aperture', str(aperture)]
  environment = {**os.environ, 'PYTHONPATH': str(tree.resolve())}
  done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
  return tuple(json.loads(done.stdout.splitlines()[-1]))


if __name__ == '__main__':
  main()
