"""A folder of photographs of different sizes: memory and time of `depthjax refocus` by photograph.

python benchmarks/folder_sizes.py [--count 100 --method hybrid --against TREE --json folder.json]

TREE is another checkout of depthjax. No compiled program is reused from earlier runs.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import photo_sizes
import table


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report, rows = table.Report(), []
  for tree in [table.ROOT, *([args.against] if args.against else [])]:
    with tempfile.TemporaryDirectory() as folder:
      draw(pathlib.Path(folder), args.count, args.largest)
      curve = run(tree, pathlib.Path(folder), args.method)
    marks = sorted({n for n in (1, 5, 10, 25, 50, 75, args.count) if n in curve})
    rows += [
      {'tree': tree.name, 'photographs': n, 'MiB': curve[n][1], 'seconds': curve[n][0]}
      for n in marks
    ]
  report.table(f'{args.method}: resident memory and time after n photographs', rows)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--count', type=int, default=100)
  result.add_argument('--largest', type=int, default=2000, help='long sides are 300 to this, px')
  result.add_argument('--method', choices=['learned', 'classical', 'hybrid'], default='hybrid')
  result.add_argument('--against', type=pathlib.Path, help='another checkout')
  result.add_argument('--json', type=pathlib.Path)
  return result


def draw(folder: pathlib.Path, count: int, largest: int) -> None:
  """Photographs and disparity maps, no two of the same size, in folder/photos and folder/depths."""
  rng = np.random.default_rng(0)
  for name in ('photos', 'depths'):
    (folder / name).mkdir()
  for i in range(count):
    long_side, aspect = int(np.exp(rng.uniform(np.log(300), np.log(largest)))), rng.uniform(1, 2)
    shape = (round(long_side / aspect), long_side)
    photo, disparity = photo_sizes.scene(*(shape if i % 3 else shape[::-1]))
    cv2.imwrite(str(folder / f'photos/{i:03}.jpg'), 255 * photo)
    cv2.imwrite(str(folder / f'depths/{i:03}.png'), (65535 * disparity).astype(np.uint16))


def run(tree: pathlib.Path, folder: pathlib.Path, method: str) -> dict[int, tuple[float, float]]:
  """Seconds and MiB by the number of finished photographs."""
  environment = {
    **os.environ,
    'PYTHONPATH': str(tree.resolve()),
    'JAX_COMPILATION_CACHE_DIR': str(folder / 'cache'),
  }
  paths = [str(folder / name) for name in ('photos', 'depths')]
  command = [sys.executable, '-P', '-m', 'depthjax.cli', 'refocus', *paths]
  command += ['-o', str(folder / 'out'), f'--method={method}']
  begin, curve = time.perf_counter(), {}
  with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
    while process.poll() is None:
      finished = len(list(folder.glob('out/[!.]*')))
      if finished not in curve:
        curve[finished] = time.perf_counter() - begin, _resident(process.pid)
      time.sleep(0.05)
  if process.returncode:
    raise RuntimeError(f'depthjax refocus ended with {process.returncode}')
  return curve


def _resident(pid: int) -> float:
  """Resident memory of a process in MiB."""
  lines = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='utf-8').splitlines()
  return next((int(x.split()[1]) / 1024 for x in lines if x.startswith('VmRSS')), 0.0)


if __name__ == '__main__':
  main()
