"""Refocusing a photograph: seconds and peak memory by size; the network against a PyTorch twin.

python benchmarks/refocus.py [--sizes 640 1280 2048 --dtype bfloat16 --json refocus.json]
"""

import argparse
import functools
import json
import pathlib
import resource
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import table
import torch_twin

from depthjax.models.deeplens import discs
from depthjax.models.deeplens.lensblur import LensBlur, initial
from depthjax.pipelines.refocus import learned as learned_lib
from depthjax.pipelines.refocus import refocus

_SMALL = {'width': 24, 'upsampler_width': 12, 'features': (18, 18, 12, 12)}
_NETWORKS = {
  'learned, release': (LensBlur(), 8),
  'learned, small': (LensBlur(**_SMALL, upsampler_features=(12, 12)), 4),
}
_TWIN_NOTE = 'Same weights and inputs. The twin runs on the CPU with channels-last memory.'
_RENDERERS = (*_NETWORKS, 'classical')


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  if args.measure:
    name, size = args.measure
    print(json.dumps(measured(name, int(size), args)))
    return None
  # Before this process uses the device, since some devices allow only one process.
  rows = [_row(name, size, args) for size in args.sizes for name in args.renderers]
  report = table.Report()
  report.table(
    f'refocusing, focus on the middle, blur radius up to {args.aperture:g} of the aperture',
    rows,
    'Each row is a separate process. Compiling: time of the first picture minus the median of the '
    'others. Memory: peak of the process, on a GPU of its host memory.',
  )
  if not args.no_twin:
    forward(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  sizes = [640, 1280, 2048]
  result.add_argument('--sizes', type=int, nargs='+', default=sizes, help='long sides, 3:2 frames')
  result.add_argument('--renderers', nargs='+', choices=_RENDERERS, default=_RENDERERS)
  result.add_argument('--aperture', type=float, default=0.5)
  result.add_argument('--dtype', choices=['float32', 'bfloat16'], default='float32')
  result.add_argument('--twin-size', type=int, default=256, help='low resolution of the twins')
  result.add_argument('--no-twin', action='store_true', help='no comparison with PyTorch')
  result.add_argument('--repeats', type=int, default=3)
  result.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
  result.add_argument('--json', type=pathlib.Path)
  return result


def measured(name: str, size: int, args: argparse.Namespace) -> dict[str, Any]:
  """Seconds for each picture, the first with compilation, and the peak memory of this process."""
  learned = None if name == 'classical' else network(name, args.dtype)
  photo, disparity = scene(size * 2 // 3, size)
  before = _peak()
  radius = refocus.radius_of(args.aperture, photo.shape[:2])
  seconds = []
  for _ in range(1 + args.repeats):
    begin = time.perf_counter()
    refocus.refocus(photo, disparity, focus=0.5, radius=radius, learned=learned)
    seconds.append(time.perf_counter() - begin)
  return {'seconds': seconds, 'before': before, 'peak': _peak()}


def network(name: str, dtype: str = 'float32') -> refocus.Learned:
  """A network with random weights."""
  model, radius = _NETWORKS[name]
  model = model.clone(dtype=jnp.dtype(dtype))
  rng = np.random.default_rng(0)

  # From shapes only, since compiling the initialisation takes longer than the benchmark.
  def random(path, x):
    if path[-1].key in ('var', 'scale'):
      return np.ones(x.shape, np.float32)
    fan = max(1, x.size // x.shape[-1])
    return rng.normal(0, fan**-0.5, x.shape).astype(np.float32)

  shapes = jax.eval_shape(functools.partial(initial, model))
  variables = jax.tree_util.tree_map_with_path(random, shapes)
  return refocus.Learned(model, jax.device_put(variables), radius)


def scene(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
  """Noise, and a disparity with a ramp and a step."""
  disparity = np.broadcast_to(np.linspace(0, 0.5, w, dtype=np.float32)[:, None], (h, w, 1)).copy()
  disparity[h // 4 : h // 2, w // 4 : w // 2] = 1
  return np.random.default_rng(0).random((h, w, 3), np.float32), disparity


def forward(report: table.Report, args: argparse.Namespace) -> None:
  """Both parts of the network, interleaved with the same layers in PyTorch."""
  if torch_twin.torch is None:
    print('\nPyTorch is not installed; the comparison with it is skipped')
    return
  learned = network('learned, release', args.dtype)
  rng, n = np.random.default_rng(0), args.twin_size
  image, blurred = rng.random((2, 1, n, n, 3), np.float32)
  # In focus on the left, where no blur radius covers the pixels.
  defocus = np.linspace(0, 1, n, dtype=np.float32)[:, None] * rng.uniform(-1, 1, (1, n, n, 1))
  defocus = defocus.astype(np.float32)
  guide = rng.random((1, 2 * n, 2 * n, 3), np.float32)
  around = (f(defocus, learned.radius) for f in (discs.nearby_defocus, discs.least_defocus))
  place = np.asarray(discs.prior_inputs(defocus, *around, learned.radius))
  blur, upsample = learned_lib.compiled(learned.model)
  twin = torch_twin.Twin(learned.model, learned.variables, args.dtype)
  halves = {
    'blur': (functools.partial(blur, learned.variables), twin.blur, (image, defocus)),
    'upsample': (
      lambda *x: upsample(learned.variables, *x[:4], (0, 0), x[4]),
      twin.upsample,
      (image, blurred, defocus, guide, place),
    ),
  }
  measures, differences = {}, {}
  for name, (ours, theirs, arrays) in halves.items():
    ready = jax.device_put(arrays)
    measures[name] = table.timed(functools.partial(ours, *ready))
    measures[f'{name} twin'] = table.timed(functools.partial(theirs, *twin.tensors(arrays)))
    other = twin.array(theirs(*twin.tensors(arrays)))
    differences[name] = float(np.abs(np.asarray(ours(*ready)) - other).max())
  times = table.interleaved(measures, args.repeats)
  rows = [
    {
      'half': name,
      'what': what,
      'time / ours': table.ratio(times[key], times[name]),
      'seconds': table.spread(times[key]),
      'largest difference': f'{differences[name]:.0e}',
    }
    for name in halves
    for what, key in (('ours', name), (f'PyTorch, {twin.threads} threads', f'{name} twin'))
  ]
  report.table(f'release network, low resolution {n} x {n}, {args.dtype}', rows, _TWIN_NOTE)


def _row(name: str, size: int, args: argparse.Namespace) -> table.Row:
  """Measures in a new process, so that its peak memory is separate."""
  command = [sys.executable, __file__, '--measure', name, str(size)]
  command += ['--dtype', args.dtype, '--aperture', str(args.aperture)]
  command += ['--repeats', str(args.repeats)]
  done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  found = json.loads(done.stdout.splitlines()[-1])
  first, *rest = found['seconds']
  usual = table.spread(rest)
  return {
    'long side': size,
    'renderer': name,
    'seconds': usual,
    'compiling, s': max(first - usual.median, 0.0),
    'peak, GB': found['peak'],
    'before, GB': found['before'],
  }


def _peak() -> float:
  """Largest resident memory of this process so far, GB."""
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == '__main__':
  main()
