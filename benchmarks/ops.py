"""Quantiles by counting against sorting, and bicubic upsampling against PyTorch.

python benchmarks/ops.py [--size 256 --batch 8 --repeats 5 --json ops.json]
"""

import argparse
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import table

from depthjax.models import upsampling
from depthjax.ops import quantiles

try:
  import torch
except ImportError:
  torch = None

_LEVELS = (0.02, 0.04, 0.06, 0.08, 0.92, 0.94, 0.96, 0.98)  # Of L_fusion of SDDR.
_CHANNELS = 8
_FRACTION = 1 / 3  # Valid pixels of the masked map.


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  quantile(report, args)
  enlargement(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--size', type=int, default=256, help='height and width in pixels')
  result.add_argument('--batch', type=int, default=8)
  result.add_argument('--repeats', type=int, default=5)
  result.add_argument('--json', type=pathlib.Path)
  return result


def quantile(report: table.Report, args: argparse.Namespace) -> None:
  """A median, a median of a masked map, and the eight levels of a loss."""
  rng, rows = np.random.default_rng(0), []
  x = rng.standard_normal((args.batch, args.size, args.size, 1)).astype(np.float32)
  kept = rng.random(x.shape) < _FRACTION
  holed = np.where(kept, x, np.nan)
  axes = {'axis': (1, 2, 3), 'keepdims': True}
  cases = {
    'median': (
      lambda x, kept, holed: quantiles.quantile(x, 0.5),
      lambda x, kept, holed: jnp.quantile(x, 0.5, **axes),
    ),
    'median, a third counts': (
      lambda x, kept, holed: quantiles.quantile(x, 0.5, kept),
      lambda x, kept, holed: jnp.nanquantile(holed, 0.5, **axes),
    ),
    'eight levels': (
      lambda x, kept, holed: quantiles.quantile(x, _LEVELS),
      lambda x, kept, holed: jnp.quantile(x, jnp.array(_LEVELS), **axes),
    ),
  }
  arrays = jax.device_put((x, kept, holed))
  for name, (ours, theirs) in cases.items():
    calls = {'counting': _called(ours, *arrays), 'sorting (jax.numpy)': _called(theirs, *arrays)}
    rows += _rows(name, calls, args.repeats, _largest(*(call() for call in calls.values())))
  report.table(f'quantiles of {args.batch} maps of {args.size} x {args.size}', rows)


def enlargement(report: table.Report, args: argparse.Namespace) -> None:
  """Upsampling by 2 and its derivative, both with padding of one pixel."""
  if torch is None:
    print("bicubic upsampling is skipped: PyTorch is missing; pip install 'depthjax[parity]'")
    return
  rng, n = np.random.default_rng(0), args.size // 2
  x = rng.standard_normal((args.batch, n, n, _CHANNELS)).astype(np.float32)
  g = rng.standard_normal((args.batch, 2 * n + 2, 2 * n + 2, _CHANNELS)).astype(np.float32)

  def ours(x):
    return upsampling.double_bicubic(x, 1)

  arrays = jax.device_put((x, g))
  calls = {
    'forward': (_called(ours, arrays[0]), _torch_forward(x)),
    'backward': (
      _called(lambda x, g: jax.vjp(ours, x)[1](g)[0], *arrays),
      _torch_backward(x, g),
    ),
  }
  rows = []
  for name, pair in calls.items():
    both = dict(zip(('shifted sums', 'PyTorch'), pair, strict=True))
    rows += _rows(name, both, args.repeats, _largest(pair[0](), np.moveaxis(pair[1](), 1, -1)))
  title = f'bicubic upsampling, {args.batch} maps of {n} x {n} x {_CHANNELS}'
  note = 'The operation is linear: neither backward pass includes a forward pass.'
  report.table(title, rows, note)


def _called(function: Callable, *arrays: jax.Array) -> Callable:
  compiled = jax.jit(function)
  return lambda: compiled(*arrays)


def _torch_forward(x: np.ndarray) -> Callable:
  image = torch.from_numpy(np.moveaxis(x, -1, 1).copy())

  def call():
    with torch.inference_mode():
      return _enlarged(image).numpy()

  return call


def _torch_backward(x: np.ndarray, g: np.ndarray) -> Callable:
  image, slope = (torch.from_numpy(np.moveaxis(array, -1, 1).copy()) for array in (x, g))
  image.requires_grad_()
  result = _enlarged(image)
  return lambda: torch.autograd.grad(result, image, slope, retain_graph=True)[0].numpy()


def _enlarged(image):
  image = torch.nn.functional.interpolate(image, scale_factor=2, mode='bicubic', align_corners=True)
  return torch.nn.functional.pad(image, (1, 1, 1, 1), mode='replicate')


def _rows(
  name: str, calls: dict[str, Callable], repeats: int, difference: float
) -> list[table.Row]:
  """One row per implementation; times are compared to the first."""
  times = table.interleaved({name: table.timed(call) for name, call in calls.items()}, repeats)
  first = next(iter(calls))
  return [
    {
      'what': name,
      'by': method,
      'time / ours': table.ratio(times[method], times[first]),
      'ms': table.spread(1e3 * x for x in times[method]),
      'largest difference': f'{difference:.0e}',
    }
    for method in calls
  ]


def _largest(a: np.ndarray, b: np.ndarray) -> float:
  return float(np.abs(np.asarray(a) - np.asarray(b)).max())


if __name__ == '__main__':
  main()
