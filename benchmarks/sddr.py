"""Depth refinement by SDDR: its network against PyTorch, windows in batches, and peak memory.

python benchmarks/sddr.py [--sizes 1024 2048 --dtype bfloat16 --precision tf32 --json sddr.json]
python benchmarks/sddr.py --parity
"""

import argparse
import functools
import json
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sddr_costs
import table

from depthjax.convert import sddr as convert
from depthjax.models.refinement import fusenet
from depthjax.pipelines.refine import refine

try:
  import sddr_twin
except ImportError:
  sddr_twin = None

_OURS, _THEIRS = 'ours', 'PyTorch'
_FORMATS = {_THEIRS: 'contiguous_format', f'{_THEIRS}, channels last': 'channels_last'}
_BOUND = 1e-4  # On the largest difference in float32, over the largest value.


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  configure(args)
  if args.measure:
    print(json.dumps(measured(args.measure[0], int(args.measure[1]), args)))
    return None
  if sddr_twin is None:
    sys.exit("PyTorch is not installed: pip install 'depthjax[parity]'")
  report = table.Report()
  if args.parity:
    parity(report, args)
  else:
    for part in _PARTS:  # Memory first, since some devices allow only one process.
      if part in args.parts:
        _PARTS[part](report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--sizes', type=int, nargs='+', default=[1024, 2048], help='in pixels')
  result.add_argument('--windows', type=int, default=14, help='number of windows in two stages')
  result.add_argument('--window-side', type=int, default=1024)
  result.add_argument('--sides', action='store_true', help='adds the side outputs used in training')
  result.add_argument('--parts', nargs='+', choices=list(_PARTS), default=list(_PARTS))
  result.add_argument('--dtype', choices=['float32', 'bfloat16'], default='float32')
  result.add_argument('--precision', choices=['float32', 'tf32'], default='float32')
  result.add_argument('--parity', action='store_true', help='only compares results')
  result.add_argument('--repeats', type=int, default=5)
  result.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
  result.add_argument('--json', type=pathlib.Path)
  return result


def configure(args: argparse.Namespace) -> None:
  """Sets the precision of float32 matrix products on accelerators in both frameworks."""
  tf32 = args.precision == 'tf32'
  jax.config.update('jax_default_matmul_precision', 'tensorfloat32' if tf32 else 'highest')
  if sddr_twin is not None:
    sddr_twin.torch.backends.cuda.matmul.allow_tf32 = tf32
    sddr_twin.torch.backends.cudnn.allow_tf32 = tf32


def memory(report: table.Report, args: argparse.Namespace) -> None:
  """Peak memory of each network: of the device on GPUs, else of the process."""
  rows = [_row(name, side, args) for side in args.sizes for name in (_OURS, *_FORMATS)]
  report.table('memory', rows, 'Each row is a separate process that runs the network twice.')


def forward(report: table.Report, args: argparse.Namespace) -> None:
  """Times one call of the network, interleaved with its twin."""
  for side in args.sizes:
    maps = _maps(0, 1, side)
    calls = {_OURS: ours(0, args, maps)}
    calls |= {name: theirs(0, args, maps, name) for name in _FORMATS}
    expected = np.asarray(calls[_THEIRS]()['fusion'].float().cpu())[0, 0]
    times = table.interleaved({name: table.timed(x) for name, x in calls.items()}, args.repeats)
    macs = sddr_costs.macs(side, args.sides) / 1e9
    found = np.asarray(calls[_OURS]()['fusion'], np.float32)[0, ..., 0]
    rows = [
      {
        'what': name,
        'time / ours': table.ratio(times[name], times[_OURS]),
        'seconds': table.spread(times[name]),
        'GMAC/s': table.spread(macs / x for x in times[name]),
      }
      for name in calls
    ]
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    report.table(
      f'network, {side} x {side}, {args.dtype}, {_threads()}',
      rows,
      f'{macs:.2f} G multiply-adds of convolutions, linear layers and attention; bicubic '
      f'upsampling has {sddr_costs.bicubic_macs(side, args.sides) / 1e9:.2f} G more. Same '
      f'weights; largest difference / largest value {difference:.0e}.',
    )


def windows(report: table.Report, args: argparse.Namespace) -> None:
  """All windows of two stages by the pipeline, one at a time and in batches."""
  refiner = refine.Refiner(_model(args), _variables(0), args.window_side)
  low, high = _maps(0, args.windows, args.window_side)
  chunks = sorted({1, 4, args.windows})
  calls = {
    n: functools.partial(lambda n: list(refine.fuse(refiner, low, high, n)), n) for n in chunks
  }
  one = {name: theirs(0, args, (low[:1], high[:1]), name) for name in _FORMATS}
  calls |= {name: functools.partial(_times, call, args.windows) for name, call in one.items()}
  times = table.interleaved({n: table.timed(x) for n, x in calls.items()}, args.repeats)
  rows = [
    {
      'what': f'{name} at a time' if name in chunks else f'{name}, the network alone, 1 at a time',
      'time / 1 at a time': table.ratio(times[name], times[1]),
      'seconds': table.spread(times[name]),
    }
    for name in calls
  ]
  title = f'{args.windows} windows of {args.window_side} x {args.window_side}'
  report.table(title, rows, 'Includes transfers to and from the device, and alignment.')


def parity(report: table.Report, args: argparse.Namespace) -> None:
  """Outputs of three networks in float32 against the twin, and both against the float64 twin."""
  rows, side = [], args.sizes[0]
  args.dtype, args.sides = 'float32', True
  for seed in range(3):
    maps = _maps(seed, 1, side)
    both = {_OURS: ours(seed, args, maps)(), _THEIRS: theirs(seed, args, maps, _THEIRS)()}
    exact = theirs(seed, args, maps, _THEIRS, double=True)()
    for name, x in exact.items():
      x = _plain(x)
      a, b = (_plain(y[name]).reshape(x.shape) for y in both.values())
      rows.append(
        {
          'seed': str(seed),
          'output': name,
          'largest, ours / PyTorch': _largest(a, b),
          'RMS': float(np.sqrt(((a - b) ** 2).mean() / (b**2).mean())),
          'ours / float64': _largest(a, x),
          'PyTorch / float64': _largest(b, x),
        }
      )
  largest = max(row['largest, ours / PyTorch'] for row in rows)
  title = f'largest difference / largest value, {side} x {side}'
  report.table(title, rows, f'The bound is {_BOUND:.0e}; the largest is {largest:.1e}.')
  if not largest <= _BOUND:
    sys.exit(f'the largest difference is {largest:.1e}; it must be at most {_BOUND:.0e}')


def measured(name: str, side: int, args: argparse.Namespace) -> dict[str, Any]:
  """The peak memory of this process before and after two calls of a network."""
  maps = _maps(0, 1, side)
  call = ours(0, args, maps) if name == _OURS else theirs(0, args, maps, name)
  before = _peak(name)
  for _ in range(2):
    jax.block_until_ready(call())
  return {'before': before, 'peak': _peak(name)}


def ours(seed: int, args: argparse.Namespace, maps: tuple[np.ndarray, np.ndarray]) -> Callable:
  """A function that runs our network with the weights of a seed: outputs [b h w 1]."""
  apply = jax.jit(functools.partial(_model(args).apply, side_outputs=args.sides))
  return functools.partial(apply, jax.device_put(_variables(seed)), *jax.device_put(maps))


def theirs(
  seed: int,
  args: argparse.Namespace,
  maps: tuple[np.ndarray, np.ndarray],
  name: str,
  double: bool = False,
) -> Callable:
  """A function that runs the twin and waits for its outputs [b 1 h w]."""
  torch = sddr_twin.torch
  device = 'cuda' if _on_gpu() else 'cpu'
  dtype = torch.float64 if double else getattr(torch, args.dtype)
  fields = {'device': device, 'dtype': dtype, 'memory_format': getattr(torch, _FORMATS[name])}
  net = sddr_twin.random(seed).to(**fields)
  tensors = [torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(**fields) for x in maps]

  def call() -> dict[str, Any]:
    with torch.inference_mode():
      outputs = net(*tensors, sides=args.sides)
    if device == 'cuda':
      torch.cuda.synchronize()
    return outputs

  return call


def _model(args: argparse.Namespace) -> fusenet.FuseNet:
  return fusenet.FuseNet(dtype=jnp.dtype(args.dtype))


@functools.cache
def _variables(seed: int) -> dict[str, Any]:
  """The weights of the twin, or random ones without PyTorch."""
  tensors = {name: x.numpy() for name, x in sddr_twin.random(seed).state_dict().items()}
  return convert.convert(tensors, 'the twin')


def _maps(seed: int, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
  """A ramp and a step with noise."""
  rng = np.random.default_rng(seed)
  scene = np.linspace(0, 0.5, side, dtype=np.float32) * np.ones((count, side, side), np.float32)
  scene[:, side // 4 : side // 2, side // 4 : side // 2] = 0.75
  noise = rng.random((2, count, side, side), np.float32)
  return tuple(0.75 * scene[..., None] + 0.25 * noise[i, ..., None] for i in (0, 1))


def _times(call: Callable, count: int) -> None:
  for _ in range(count):
    call()


def _plain(x: Any) -> np.ndarray:
  return np.asarray(x.cpu() if hasattr(x, 'cpu') else x, np.float64)


def _largest(a: np.ndarray, b: np.ndarray) -> float:
  return float(np.abs(a - b).max() / np.abs(b).max())


def _threads() -> str:
  return f'{sddr_twin.torch.get_num_threads()} threads of PyTorch'


def _row(name: str, side: int, args: argparse.Namespace) -> table.Row:
  """Measures in a new process, so that its peak memory is separate."""
  command = [sys.executable, __file__, '--measure', name, str(side)]
  command += ['--dtype', args.dtype, '--precision', args.precision]
  command += ['--sides'] if args.sides else []
  done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
  found = json.loads(done.stdout.splitlines()[-1])
  needed = found['peak'] - found['before']
  return {
    'side': str(side),
    'what': name,
    'peak, GB': found['peak'],
    'less before, GB': needed,
  }


def _on_gpu() -> bool:
  return sddr_twin.torch.cuda.is_available() and jax.default_backend() == 'gpu'


def _peak(name: str) -> float:
  """Peak memory so far in GB: of the framework on a GPU, or resident of this process."""
  if _on_gpu():
    if name != _OURS:
      return sddr_twin.torch.cuda.max_memory_allocated() / 1e9
    return jax.local_devices()[0].memory_stats()['peak_bytes_in_use'] / 1e9
  unit = 1 if sys.platform == 'darwin' else 1024
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


_PARTS = {'memory': memory, 'network': forward, 'windows': windows}

if __name__ == '__main__':
  main()
