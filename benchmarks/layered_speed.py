"""Refinement by masks: the network against PyTorch, and a large photograph end to end.

python benchmarks/layered_speed.py [--networks small mit_b3 --weights FILE --json speed.json]
"""

import argparse
import functools
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import cv2
import jax
import numpy as np
import photo_sizes
import table

from depthjax.models import layered

try:
  import layered_twin
  import torch
except ImportError:
  torch = None

_OURS = 'ours'
_FORMATS = {'PyTorch': 'contiguous_format', 'PyTorch, channels last': 'channels_last'}
# The command in a process of its own, which prints its peak memory in KiB. Not ru_maxrss, which a
# process inherits from the one that starts it.
_COMMAND = """
import pathlib
from depthjax import cli
try:
  cli.main()
finally:
  print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])
"""


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  photograph(report, args)
  if torch is None:
    print("PyTorch is not installed: pip install 'depthjax[parity]'")
  else:
    torch.set_num_threads(table.cores())
    network(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--networks', nargs='*', choices=layered.PRESETS, default=['small', 'mit_b3'])
  result.add_argument('--size', type=int, default=320, help="of the network's maps")
  result.add_argument('--photo', default='4000x3000', help='size of the photograph')
  result.add_argument('--weights', type=pathlib.Path, help='as in depthjax mask-refine')
  result.add_argument('--repeats', type=int, default=5)
  result.add_argument('--json', type=pathlib.Path)
  return result


def photograph(report: table.Report, args: argparse.Namespace) -> None:
  """Seconds and peak memory of `depthjax mask-refine`; the first run fills the cache."""
  w, h = map(int, args.photo.split('x'))
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    _draw(folder, h, w)
    command = ['mask-refine', *(str(folder / x) for x in ('photo.jpg', 'depth.png', 'mask.png'))]
    command += ['-o', str(folder / 'out.png')]
    command += ['--weights', str(args.weights.resolve())] if args.weights else []
    first, *rest = (_run(command) for _ in range(1 + args.repeats))
  seconds, peaks = zip(*rest, strict=True)
  row = {
    'size': args.photo,
    'seconds': table.spread(seconds),
    'first run': first[0],
    'peak, GB': table.spread(peaks),
  }
  report.table('depthjax mask-refine', [row], 'Each run is a process, with its start and imports.')


def _draw(folder: pathlib.Path, h: int, w: int) -> None:
  """A photograph, its blurred disparity in 16 bits, and the mask of the nearest object."""
  photo, disparity = photo_sizes.scene(h, w)
  cv2.imwrite(str(folder / 'photo.jpg'), np.uint8(255 * photo))
  cv2.imwrite(str(folder / 'mask.png'), np.uint8(255 * (disparity == disparity.max())))
  blurred = cv2.GaussianBlur(disparity, (0, 0), w / 400)
  cv2.imwrite(str(folder / 'depth.png'), np.uint16(65535 * blurred))


def _run(command: list[str]) -> tuple[float, float]:
  """Seconds and GB of a command."""
  python, begin = [sys.executable, '-c', _COMMAND], time.perf_counter()
  text = subprocess.check_output([*python, *command], cwd=table.ROOT, text=True)
  return time.perf_counter() - begin, int(text.splitlines()[-1]) * 1024 / 1e9


def network(report: table.Report, args: argparse.Namespace) -> None:
  """Both layers by our network and its twin, with the same random weights, interleaved."""
  shape, rows = (1, args.size, args.size), []
  for name in args.networks:
    model = layered.network({'preset': name})
    rng = np.random.default_rng(0)
    maps = [rng.random((*shape, channels), np.float32) for channels in (3, 1, 1)]
    inputs = jax.device_put((layered_twin.random(model, 0)[1], *maps))
    calls = {_OURS: functools.partial(jax.jit(model.apply), *inputs)}
    calls |= {what: _their_call(model, maps, what) for what in _FORMATS}
    ours, theirs = (np.stack(calls[what]()) for what in (_OURS, 'PyTorch'))
    difference = np.abs(np.moveaxis(ours, -1, 2) - theirs).max() / np.ptp(theirs)
    times = table.interleaved({x: table.timed(f) for x, f in calls.items()}, args.repeats)
    rows += [
      {
        'network': name,
        'what': what,
        'time / ours': table.ratio(times[what], times[_OURS]),
        'seconds': table.spread(times[what]),
        'difference': f'{difference:.0e}',
      }
      for what in calls
    ]
  title = f'network, {args.size} x {args.size}, both layers, {torch.get_num_threads()} threads'
  report.table(title, rows, 'Largest difference of the layers, over their range.')


def _their_call(model: layered.Layered, maps: list[np.ndarray], name: str) -> Callable[[], Any]:
  fields = {'memory_format': getattr(torch, _FORMATS[name])}
  net = layered_twin.random(model, 0)[0].to(**fields)
  tensors = [torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(**fields) for x in maps]
  return torch.inference_mode()(lambda: net(*tensors))


if __name__ == '__main__':
  main()
