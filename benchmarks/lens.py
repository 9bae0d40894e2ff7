"""The lens tracer and the classical renderer: time against twins and floors, and peak memory.

python benchmarks/lens.py [--size 640 --samples 256 --repeats 3 --json lens.json]
"""

import argparse
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import table

from depthjax.ops import lens, scatter

FOCUS = 0.5
_CHAINS, _LINKS, _PASSES = 8, 16, 8  # Of the probes; one chain would be bound by latency.

_MEMORY_NOTE = 'Temporary and output bytes of the compiled program / bytes of the float32 input.'

Scene = dict[str, np.ndarray]


class Case(NamedTuple):
  """The tracer and its twin, ready to run, on one scene."""

  run: Callable[[], Any]
  twin: Callable[[], Any]
  difference: float
  memory: table.Row


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  tracer(report, args)
  classical(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--size', type=int, default=640, help='height and width in pixels')
  result.add_argument('--samples', type=int, default=256, help='samples of the aperture')
  result.add_argument('--layers', type=int, default=3)
  result.add_argument('--pad', type=int, default=34, help='the largest radius is pad - 2')
  result.add_argument('--limits', type=int, nargs='+', default=[8, 16, 32], help='largest radii')
  result.add_argument('--numpy-samples', type=int, default=16, help='for the NumPy twin')
  result.add_argument('--probe', type=int, default=2**26, help='floats of the bandwidth probe')
  result.add_argument('--repeats', type=int, default=3)
  result.add_argument('--json', type=pathlib.Path)
  return result


def scene(count: int, size: int, pad: int, *, tilted: bool = False) -> Scene:
  """Noise in soft discs in front of noise: the first arguments of `trace`."""
  rng = np.random.default_rng(0)
  side = size + 2 * pad
  rows, columns = np.mgrid[:side, :side]
  centres, radii = rng.uniform(0, side, (count, 2)), rng.uniform(0.1, 0.3, count) * side
  distance = [np.hypot(rows - y, columns - x) for y, x in centres]
  alpha = np.stack([np.clip(r - d, 0, 1) for r, d in zip(radii, distance, strict=True)])
  alpha[-1] = 1
  planes = np.zeros((count, 3))
  planes[:, 0] = np.linspace(0.9, 0.1, count)
  if tilted:
    planes[-1, 1:] = 0.08, 0.1
  return {
    'colour': rng.random((count, side, side, 3), np.float32),
    'alpha': alpha.astype(np.float32),
    'planes': planes.astype(np.float32),
  }


def numpy_trace(
  colour, alpha, planes, samples, *, focus, strength, limit, pad, tilted=()
) -> np.ndarray:
  """The twin of `lens.trace`: the same samples and taps, one NumPy call after another."""
  count, hp, wp = alpha.shape
  h, w = hp - 2 * pad, wp - 2 * pad
  layers = np.concatenate([np.moveaxis(colour, -1, 1) * alpha[:, None], alpha[:, None]], axis=1)
  y, x = (np.arange(h, dtype=np.float32)[:, None], np.arange(w, dtype=np.float32))
  total = np.zeros((3, h, w), np.float32)
  for u, v in samples:
    image = np.zeros((3, h, w), np.float32)
    for i in reversed(range(count)):
      p0, p1, p2 = planes[i]
      if i in tilted:
        disparity = p0 + p1 * ((x + 0.5) / w - 0.5) + p2 * ((y + 0.5) / h - 0.5) - focus
        blur = strength * disparity / (1 - strength * (u * p1 / w + v * p2 / h))
        blur = np.clip(blur, -limit, limit).astype(np.float32)
        view = _gathered(layers[i], y + pad + v * blur, x + pad + u * blur)
      else:
        blur = np.clip(np.float32(strength * (p0 - focus)), -limit, limit)
        view = _shifted(layers[i], pad + v * blur, pad + u * blur, h, w)
      image = view[:3] + (1 - view[3]) * image
    total += image
  return np.moveaxis(total / len(samples), 0, -1)


def _shifted(layer, y, x, h, w):
  row, column = int(np.floor(y)), int(np.floor(x))
  y, x = np.float32(y - row), np.float32(x - column)
  near, far = layer[:, row : row + h], layer[:, row + 1 : row + h + 1]
  left, right = slice(column, column + w), slice(column + 1, column + w + 1)
  near = (1 - x) * near[..., left] + x * near[..., right]
  return (1 - y) * near + y * ((1 - x) * far[..., left] + x * far[..., right])


def _gathered(layer, y, x):
  row, column = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
  y, x = y - row, x - column
  near = (1 - x) * layer[:, row, column] + x * layer[:, row, column + 1]
  return (1 - y) * near + y * (
    (1 - x) * layer[:, row + 1, column] + x * layer[:, row + 1, column + 1]
  )


def opencv_scatter(image: np.ndarray, defocus: np.ndarray, *, limit: int) -> np.ndarray:
  """Twin of `scatter.scatter` for integer radii: one filter2D for each.

  The pixels of each radius, weighted by 1 / area, are filtered with its disc (symmetric, so
  gathering equals scattering). The sum over all radii is divided by the sum of the weights.
  """
  rounded = np.rint(np.minimum(np.abs(defocus), limit))
  offsets = np.arange(-limit, limit + 1, dtype=np.float32)
  distance = np.hypot(offsets, offsets[:, None])
  total = np.zeros((*image.shape[:2], 4), np.float32)
  for radius in range(limit + 1):
    weight = (rounded == radius) / np.float32(max(np.pi * (radius**2 + 1 / 12), radius + 0.5))
    inside = slice(limit - radius, limit + radius + 1)
    disc = np.clip(radius + 0.5 - distance[inside, inside], 0, 1)
    light = np.concatenate([image * weight, weight], axis=-1)
    total += cv2.filter2D(light, -1, disc, borderType=cv2.BORDER_CONSTANT)
  return total[..., :3] / total[..., 3:]


def tracer(report: table.Report, args: argparse.Namespace) -> None:
  """Times the tracer, its twin and the bounds of the machine on a flat and a tilted scene."""
  cases = {'flat': case(args, ()), 'tilted': case(args, (args.layers - 1,))}
  measures = probes(args)
  for name, each in cases.items():
    measures[name] = table.timed(each.run)
    measures[f'{name} twin'] = table.timed(each.twin)
  times = table.interleaved(measures, args.repeats)
  scale = args.samples / min(args.numpy_samples, args.samples)
  rates, floors = floor(times, args)
  rows = [_row(f'floor, {key}', value, times['flat']) for key, value in floors.items()]
  for name, each in cases.items():
    rows.append(_row(f'{name}: tracer', times[name], times[name]))
    twin = [scale * seconds for seconds in times[f'{name} twin']]
    rows.append(_row(f'{name}: NumPy', twin, times[name], f'{each.difference:.0e}'))
  rows.append(_row('tilted: tracer, over flat', times['tilted'], times['flat']))
  report.table(
    f'tracer: {args.layers} layers, {args.size}x{args.size}, {args.samples} samples',
    rows,
    f'NumPy (one core) renders 1/{scale:g} of the samples; its time is multiplied by {scale:g}.',
    'Lower bounds (floors) are for flat layers: s h w times 4 (4 l + 5) bytes / bandwidth, or '
    '(35 l - 5) FLOPs / rate; the largest applies. Each sample reads the layers and the mean and '
    'writes the mean. Per layer, 28 FLOPs interpolate RGBA and 7 composite it. Layers in cache '
    'may exceed the bandwidth of memory; then that of arrays of their size applies. Measured:',
    *(f'{name}: {value}' for name, value in rates.items()),
  )
  report.table('peak memory of the tracer', [each.memory for each in cases.values()], _MEMORY_NOTE)


def case(args: argparse.Namespace, tilted: tuple[int, ...]) -> Case:
  """Compiles the tracer for one scene and compares it with its twin on the samples of the twin."""
  limit = args.pad - 2.0
  fields = {'focus': FOCUS, 'strength': limit / 0.4, 'limit': limit, 'pad': args.pad}
  arrays = scene(args.layers, args.size, args.pad, tilted=bool(tilted)).values()
  samples = lens.vogel(args.samples)
  few = lens.vogel(min(args.numpy_samples, args.samples))
  trace = jax.jit(functools.partial(lens.trace, **fields, tilted=tilted))
  twin = functools.partial(numpy_trace, *arrays, few, **fields, tilted=tilted)
  on_device = jax.device_put((*arrays, samples))
  compiled = trace.lower(*on_device).compile()
  layers = sum(array.nbytes for array in arrays)
  return Case(
    run=functools.partial(compiled, *on_device),
    twin=twin,
    difference=float(np.abs(trace(*arrays, few) - twin()).max()),
    memory=_memory('tilted' if tilted else 'flat', compiled, layers, 'layers', '<= 4'),
  )


def probes(args: argparse.Namespace) -> dict[str, Callable[[], float]]:
  """Adds 1 in place to a large array and to one of the size of the layers; multiply-adds."""
  large, layers, middle = (jnp.ones(size) for size in _probe_sizes(args))

  @jax.jit
  def chains(x):
    links = [x + k for k in range(_CHAINS)]
    for _ in range(_LINKS):
      links = [link * x + 0.5 for link in links]
    return sum(links)

  return {
    'memory': table.timed(_adding(large)),
    'cache': table.timed(_adding(layers)),
    'arithmetic': table.timed(lambda: chains(middle)),
  }


def _adding(array: jax.Array) -> Callable[[], jax.Array]:
  # In place: page faults of a new large array would take longer than the addition.
  def passes(x):
    return jax.lax.fori_loop(0, _PASSES, lambda _, x: x + 1, x)

  add, held = jax.jit(passes, donate_argnums=0), [array]

  def once():
    held[0] = add(held[0])
    return held[0]

  return once


def floor(times: dict[str, list[float]], args: argparse.Namespace) -> tuple[dict, dict]:
  """The rates measured by the probes, and the lower bound in seconds that each gives a trace."""
  large, layers, middle = _probe_sizes(args)
  bandwidth = [8 * large * _PASSES / seconds for seconds in times['memory']]
  cached = [8 * layers * _PASSES / seconds for seconds in times['cache']]
  arithmetic = [2 * _CHAINS * _LINKS * middle / seconds for seconds in times['arithmetic']]
  pixels = args.samples * args.size**2
  moved, operations = 4 * (4 * args.layers + 5) * pixels, (35 * args.layers - 5) * pixels
  rates = {
    'bandwidth, arrays in memory, GB/s': table.spread(x / 1e9 for x in bandwidth),
    'bandwidth, arrays of the size of the layers, GB/s': table.spread(x / 1e9 for x in cached),
    'multiply-adds, GFLOP/s': table.spread(x / 1e9 for x in arithmetic),
  }
  return rates, {
    'bytes, from memory': [moved / x for x in bandwidth],
    'bytes, layers in cache': [moved / x for x in cached],
    'FLOPs': [operations / x for x in arithmetic],
  }


def classical(report: table.Report, args: argparse.Namespace) -> None:
  """Times the classical renderer against its twin, by the largest radius."""
  rng = np.random.default_rng(0)
  image = rng.random((args.size, args.size, 3), np.float32)
  ramp = np.linspace(-1, 1, args.size, dtype=np.float32)
  defocus = (0.5 * ramp + 0.5 * ramp[:, None])[..., None]
  measures, differences, memory = {}, {}, []
  for limit in args.limits:
    blur = jax.jit(functools.partial(scatter.scatter, limit=limit))
    twin = functools.partial(opencv_scatter, image, limit * defocus, limit=limit)
    on_device = jax.device_put((image, limit * defocus))
    compiled = blur.lower(*on_device).compile()
    integer = compiled(*jax.device_put((image, np.rint(limit * defocus))))
    differences[limit] = float(np.abs(integer - twin()).max())
    measures[f'{limit} ours'] = table.timed(functools.partial(compiled, *on_device))
    measures[f'{limit} twin'] = table.timed(twin)
    memory.append(_memory(f'radius {limit}', compiled, image.nbytes, 'image', ''))
  times = table.interleaved(measures, args.repeats)
  rows = []
  for limit, difference in differences.items():
    ours = times[f'{limit} ours']
    rows.append(_row(f'radius {limit}: scatter', ours, ours))
    rows.append(_row(f'radius {limit}: OpenCV', times[f'{limit} twin'], ours, f'{difference:.0e}'))
  report.table(
    f'classical renderer: {args.size}x{args.size}, every radius to the largest',
    rows,
    f'OpenCV ({cv2.getNumThreads()} threads) renders integer radii: one filter2D each, by Fourier '
    'transform where the disc is large. The difference is measured for integer radii.',
  )
  report.table('peak memory of the classical renderer', memory, _MEMORY_NOTE)


def _probe_sizes(args: argparse.Namespace) -> tuple[int, int, int]:
  side = args.size + 2 * args.pad
  return args.probe, 4 * args.layers * side**2, args.probe // 4


def _row(name: str, these: list[float], those: list[float], difference: str = '') -> table.Row:
  return {
    'what': name,
    'time / ours': table.ratio(these, those),
    'seconds': table.spread(these),
    'largest difference': difference,
  }


def _memory(name: str, compiled: Any, base: int, what: str, target: str) -> table.Row:
  memory = compiled.memory_analysis()
  used = memory.temp_size_in_bytes + memory.output_size_in_bytes
  return {'what': name, f'over its {what}': used / base, 'MiB': used / 2**20, 'target': target}


if __name__ == '__main__':
  main()
