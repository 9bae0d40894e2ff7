"""Virtual labels: passes as one batch or one call each, folders by 1 and 2 processes; training.

python benchmarks/tom.py [--size small --photo 640x480 --passes 5 --images 12 --json tom.json]
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import cv2
import jax
import numpy as np
import photo_sizes
import table

from depthjax.files import weights
from depthjax.models.predictors import depth_anything, published
from depthjax.models.predictors import predictor as predictors
from depthjax.ops import painting
from depthjax.pipelines import depth

_BATCH, _CALLS = 'one batch', 'one call a pass'
_AT_ONCE = 'one batch, not in turn'  # Of these three the first is that of tom-labels.


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  report = table.Report()
  fields = {'network': 'depth_anything', 'size': args.size, 'version': 2}
  predictor = published.describe(fields)
  passes(report, args, predictor._replace(variables=_random(predictor)))
  folders(report, args, fields, _random(predictor))
  training(report, args)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument(
    '--size', choices=depth_anything.SIZES, default='small', help='of the network'
  )
  result.add_argument('--photo', default='640x480', help='size of the photographs')
  result.add_argument('--passes', type=int, default=5)
  result.add_argument('--images', type=int, default=12, help='in the folder')
  result.add_argument(
    '--repeats', type=int, default=5, help='rounds; of the folder a third of them'
  )
  result.add_argument('--json', type=pathlib.Path)
  return result


def passes(report: table.Report, args: argparse.Namespace, predictor: predictors.Predictor) -> None:
  """The network and the median, interleaved; peak memory of the compiled programs."""
  w, h = map(int, args.photo.split('x'))
  shape = (args.passes, *predictors.frame(predictor, (h, w)), 3)
  variables = jax.device_put(predictor.variables)
  images = jax.device_put(np.random.default_rng(0).random(shape, np.float32))
  predictor = predictor._replace(variables=None)
  median = jax.jit(lambda *x: painting.median(jax.numpy.concatenate(x)[None]))
  at_once = jax.jit(functools.partial(predictors.output, predictor))
  runs = {_BATCH: depth.compiled(predictor), _CALLS: depth.compiled(predictor), _AT_ONCE: at_once}
  parts = {_BATCH: [images], _CALLS: jax.numpy.split(images, args.passes), _AT_ONCE: [images]}

  def call(name: str) -> Any:
    return median(*(runs[name](variables, part) for part in parts[name]))

  difference = np.abs(np.asarray(call(_BATCH)) - call(_CALLS)).max() / np.ptp(call(_BATCH))
  measures = {name: table.timed(functools.partial(call, name)) for name in runs}
  times = table.interleaved(measures, args.repeats)
  rows = []
  for name, run in runs.items():
    memory = run.lower(variables, parts[name][0]).compile().memory_analysis()
    row = {'passes': name, 'time / one batch': table.ratio(times[name], times[_BATCH])}
    row |= {'seconds': table.spread(times[name])}
    row |= {'peak, MiB': (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20}
    rows.append(row)
  title = f'{args.passes} passes, {args.size}, input {shape[2]} x {shape[1]}'
  note = 'Peak: temporary and output bytes of the compiled program, without weights and input. '
  report.table(title, rows, f'{note}Relative difference of the labels: {difference:.0e}.')


def folders(
  report: table.Report, args: argparse.Namespace, fields: dict[str, Any], variables: Any
) -> None:
  """Images per second of `depthjax tom-labels`, from the first label written to the last."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    metadata = {'task': 'monocular', 'config': {'model': fields}}
    weights.save_weights(folder / 'weights.safetensors', variables, metadata)
    _draw(folder, args)
    measures = {
      str(count): functools.partial(_rate, folder, args, count, iter(range(1000)))
      for count in (1, 2)
    }
    rates = table.interleaved(measures, max(1, args.repeats // 3))
  rows = [
    {
      'processes': count,
      'rate / 1 process': table.ratio(found, rates['1']),
      'images/s': table.spread(found),
    }
    for count, found in rates.items()
  ]
  title = (
    f'tom-labels, {args.images} photographs of {args.photo}, {args.passes} passes, {args.size}'
  )
  report.table(title, rows, f'{table.cores()} cores, which each process uses; without their start.')


def training(report: table.Report, args: argparse.Namespace) -> None:
  """Fraction of a training step that waits for scenes, which are rendered in the step."""
  with tempfile.TemporaryDirectory() as name:
    command = [sys.executable, '-m', 'depthjax.cli', 'train', '--config=tom:small']
    command += [f'--workdir={name}', f'--config.steps={20 * (1 + args.repeats)}']
    command += ['--config.input.workers=2', '--config.log_every=20', '--config.eval.every=0']
    command += ['--config.eval.examples=8']
    environment = {'cwd': table.ROOT, 'env': {**os.environ, 'PYTHONPATH': str(table.ROOT)}}
    subprocess.run(command, **environment, check=True, stdout=subprocess.DEVNULL)
    lines = map(json.loads, (pathlib.Path(name) / 'metrics.jsonl').read_text().splitlines())
    rows = [x for x in lines if x['kind'] == 'train'][1:]  # The first waits for the workers' start.
  row = {
    'waiting, %': table.spread([100 * x['input_share'] for x in rows]),
    'examples/s': table.spread([x['examples_per_second'] for x in rows]),
  }
  report.table('training of tom:small, two workers', [row], 'Of 20 steps each.')


def _random(predictor: predictors.Predictor) -> Any:
  """Variables that are small enough for finite outputs."""
  rng = np.random.default_rng(0)
  shapes = published.shapes(predictor.network, predictor.multiple)
  return jax.tree.map(lambda x: 0.05 * rng.standard_normal(x.shape, np.float32), shapes)


def _draw(folder: pathlib.Path, args: argparse.Namespace) -> None:
  """Photographs with the masks of their nearest object."""
  w, h = map(int, args.photo.split('x'))
  photo, disparity = photo_sizes.scene(h, w)
  for name, values in (('images', 255 * photo), ('masks', 255.0 * (disparity == disparity.max()))):
    (folder / name).mkdir()
    for i in range(args.images):
      cv2.imwrite(str(folder / name / f'{i:03}.png'), np.uint8(values))


def _rate(folder: pathlib.Path, args: argparse.Namespace, count: int, numbers: Any) -> float:
  """Runs so many processes on one new folder of labels."""
  output = folder / f'{count}-{next(numbers)}'
  command = [
    sys.executable,
    '-m',
    'depthjax.cli',
    'tom-labels',
    'images',
    'masks',
    '-o',
    output.name,
  ]
  command += [f'--predictor={folder}', f'--passes={args.passes}', '--quiet']
  environment = {'cwd': folder, 'env': {**os.environ, 'PYTHONPATH': str(table.ROOT)}}
  started = [subprocess.Popen(command, **environment) for _ in range(count)]
  for process in started:
    if process.wait():
      raise RuntimeError(f'{command} failed')
  times = sorted(path.stat().st_mtime for path in output.glob('*.npy'))
  return (len(times) - 1) / (times[-1] - times[0])


if __name__ == '__main__':
  main()
