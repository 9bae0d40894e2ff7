"""The lens tracer and the classical renderer: time against twins and floors, and peak memory.

  python benchmarks/lens.py [--size 640 --samples 256 --repeats 3 --json lens.json]
"""

import argparse
from collections.abc import Callable
import functools
import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import table

from depthjax.ops import lens, scatter

FOCUS = 0.5
Scene = dict[str, np.ndarray]


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
  result.add_argument('--samples', type=int, default=256, help='points of the lens')
  result.add_argument('--layers', type=int, default=3)
  result.add_argument('--pad', type=int, default=34, help='blur radii go to pad - 2 pixels')
  result.add_argument('--limits', type=int, nargs='+', default=[8, 16, 32], help='of the scatter')
  result.add_argument('--numpy-samples', type=int, default=16, help='timed of the NumPy twin')
  result.add_argument('--probe', type=int, default=2**26, help='floats of the bandwidth probe')
  result.add_argument('--repeats', type=int, default=3)
  result.add_argument('--json', type=pathlib.Path)
  return result


def scene(count: int, size: int, pad: int, *, slanted: bool = False) -> Scene:
  """Noise in soft discs before noise: the arguments of `trace` up to the samples."""
  rng = np.random.default_rng(0)
  side = size + 2 * pad
  rows, columns = np.mgrid[:side, :side]
  centres, radii = rng.uniform(0, side, (count, 2)), rng.uniform(0.1, 0.3, count) * side
  distance = [np.hypot(rows - y, columns - x) for y, x in centres]
  alpha = np.stack([np.clip(r - d, 0, 1) for r, d in zip(radii, distance, strict=True)])
  alpha[-1] = 1
  planes = np.zeros((count, 3))
  planes[:, 0] = np.linspace(0.9, 0.1, count)
  if slanted:
    planes[-1, 1:] = 0.08, 0.1
  return {
    'colour': rng.random((count, side, side, 3), np.float32),
    'alpha': alpha.astype(np.float32),
    'planes': planes.astype(np.float32),
  }


def numpy_trace(
  colour, alpha, planes, samples, *, focus, strength, limit, pad, slanted=()
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
      if i in slanted:
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
  """The twin of `scatter.scatter` for whole radii: one filter2D for each of them.

  The pixels of a radius, weighted by 1 / area, are filtered with its disc (symmetric, so gathering
  is scattering); the sums over all radii are divided by those of the weights.
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
  """Times the tracer and its twin on a flat and a slanted scene, beside the machine's rates."""
  limit = args.pad - 2.0
  fields = {'focus': FOCUS, 'strength': limit / 0.4, 'limit': limit, 'pad': args.pad}
  samples, fewer = lens.vogel(args.samples), lens.vogel(args.samples)[: args.numpy_samples]
  scenes = {
    'flat': (scene(args.layers, args.size, args.pad), ()),
    'slanted': (scene(args.layers, args.size, args.pad, slanted=True), (args.layers - 1,)),
  }
  measures, memory, differences = rates(args), [], {}
  for name, (arrays, slanted) in scenes.items():
    trace = jax.jit(functools.partial(lens.trace, **fields, slanted=slanted))
    on_device = jax.device_put((*arrays.values(), samples))
    compiled = trace.lower(*on_device).compile()
    twin = functools.partial(
      numpy_trace, *arrays.values(), fewer, **fields, slanted=slanted
    )
    differences[name] = float(np.abs(trace(*arrays.values(), fewer) - twin()).max())
    measures[f'tracer {name}'] = table.timed(functools.partial(compiled, *on_device))
    measures[f'twin {name}'] = table.timed(twin)
    layers = arrays['colour'].nbytes + arrays['alpha'].nbytes
    memory.append(_memory(f'tracer, {name}', compiled, layers, 'its layers in float32', '<= 4'))
  times = table.interleaved(measures, args.repeats)
  scaled = len(samples) / len(fewer)
  floors = floor_times(times, args)
  rows = []
  for name in scenes:
    base, twin = times[f'tracer {name}'], [scaled * t for t in times[f'twin {name}']]
    rows += [
      _row(f'{name}: tracer', base, base, ''),
      _row(f'{name}: NumPy twin', twin, base, f'{differences[name]:.1e}'),
      *(_row(f'{name}: floor, {what}', floor, base, '') for what, floor in floors.items()),
    ]
  rows.append(_row('slanted: tracer of flat', times['tracer flat'], times['tracer slanted'], ''))
  title = f'tracer, {args.layers} layers, {args.size}x{args.size}, {args.samples} samples'
  report.table(title, rows, *_notes(times, args))
  report.table('peak memory of the tracer', memory, 'temporary and output bytes as compiled.')


def rates(args: argparse.Namespace) -> dict[str, Callable[[], float]]:
  """Probes: adding 1 to a large array and to one as large as the layers, and multiply-adds."""
  side = args.size + 2 * args.pad
  large, layers = jnp.ones(args.probe), jnp.ones(4 * args.layers * side * side)
  # Eight chains: one alone would wait for its own results.
  chains = jax.jit(lambda x: sum(functools.reduce(lambda v, _: v * x + 0.5, range(16), x + k)
                                 for k in range(8)))
  add = jax.jit(lambda x: x + 1)
  again = jax.jit(lambda x: jax.lax.fori_loop(0, 16, lambda _, x: x + 1, x))
  middle = jnp.full(args.probe // 4, 0.5)
  return {
    'memory': table.timed(lambda: add(large)),
    'cache': table.timed(lambda: again(layers)),
    'arithmetic': table.timed(lambda: chains(middle)),
  }
