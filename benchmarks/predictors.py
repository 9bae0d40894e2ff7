"""Depth predictors against transformers with the same random weights: results, time and memory.

python benchmarks/predictors.py [--networks small:518x686 dpt:384x384 --dtype bfloat16]
"""

import argparse
import functools
import importlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import table

from depthjax.convert import published as convert
from depthjax.models.predictors import published

_OURS, _THEIRS = 'ours', 'PyTorch'
# Not where the memory of our network alone is measured.
predictor_twins = None if _OURS in sys.argv else importlib.import_module('predictor_twins')
torch = getattr(predictor_twins, 'torch', None)

_NETWORKS = ('small:518x518', 'small:518x686', 'small:266x350', 'base:266x350', 'dpt:384x384')


def main(argv: list[str] | None = None) -> table.Report | None:
  args = parser().parse_args(argv)
  if args.measure:
    print(_peak(*args.measure, args.dtype))
    return None
  if torch is None:
    sys.exit("PyTorch is not installed: pip install 'depthjax[parity]'")
  report, rows = table.Report(), []
  for network in args.networks:
    rows.append(_compared(network, args))
    print(rows[-1])
  note = 'Relative difference: the largest, over the range of the output. Peak: of a process that '
  note += 'runs the network three times, with weights and compilation; ours over PyTorch.'
  report.table(f'{args.dtype}, {torch.get_num_threads()} threads', rows, note)
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('--networks', nargs='+', default=_NETWORKS, help='NAME:HxW')
  result.add_argument('--dtype', choices=['float32', 'bfloat16'], default='float32')
  result.add_argument('--repeats', type=int, default=7)
  result.add_argument('--seeds', type=int, default=2, help='of the weights that are compared')
  result.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
  result.add_argument('--json', type=pathlib.Path)
  return result


def _compared(network: str, args: argparse.Namespace) -> table.Row:
  """Both networks with equal weights, interleaved; memory in processes of their own."""
  differences = []
  for seed in range(args.seeds):
    model, image = predictor_twins.build(_fields(network), seed), _image(network, seed)
    tensors = {name: x.numpy() for name, x in model.state_dict().items()}
    variables = jax.device_put(convert.convert(tensors, _fields(network), network))
    calls = {_OURS: _our_call(network, variables, image, args.dtype)}
    calls[_THEIRS] = _their_call(model, image, args.dtype)
    ours, theirs = np.asarray(calls[_OURS]())[..., 0], calls[_THEIRS]().float().cpu().numpy()
    differences.append(float(np.abs(ours - theirs).max() / np.ptp(theirs)))
  times = table.interleaved({name: table.timed(x) for name, x in calls.items()}, args.repeats)
  peaks = {name: _measured(network, name, args.dtype) for name in calls}
  return {
    'network': network,
    'difference': ', '.join(f'{x:.1e}' for x in differences),
    'PyTorch / ours': table.ratio(times[_THEIRS], times[_OURS]),
    'seconds': table.spread(times[_OURS]),
    'peak, ratio': peaks[_OURS] / peaks[_THEIRS],
    'peak, MiB': peaks[_OURS],
  }


def _fields(network: str) -> dict[str, Any]:
  """The `model` fields of a network of the command line."""
  name = network.partition(':')[0]
  return (
    {'network': name}
    if name in published.NETWORKS
    else {'network': 'depth_anything', 'size': name, 'version': 2, 'max_depth': 0.0}
  )


def _image(network: str, seed: int) -> np.ndarray:
  h, w = map(int, network.partition(':')[2].split('x'))
  return np.random.default_rng(seed).standard_normal((1, h, w, 3)).astype(np.float32)


def _our_call(network: str, variables: Any, image: np.ndarray, dtype: str) -> Callable[[], Any]:
  model = published.network({**_fields(network), 'dtype': dtype})
  run = jax.jit(functools.partial(model.apply, method='predict'))
  return functools.partial(run, variables, jax.device_put(image))


def _their_call(model: Any, image: np.ndarray, dtype: str) -> Callable[[], Any]:
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  model = model.to(device, getattr(torch, dtype))
  x = torch.from_numpy(image.transpose(0, 3, 1, 2).copy()).to(device, getattr(torch, dtype))

  def call() -> Any:
    with torch.inference_mode():
      result = model(x).predicted_depth
      if device == 'cuda':
        torch.cuda.synchronize()
      return result

  return call


def _measured(network: str, name: str, dtype: str) -> float:
  command = [sys.executable, __file__, '--measure', network, name, '--dtype', dtype]
  return json.loads(subprocess.check_output(command).splitlines()[-1])


def _peak(network: str, name: str, dtype: str) -> float:
  """The peak memory of this process in MiB; on a GPU, that of its host memory."""
  image = _image(network, 0)
  if name == _OURS:
    shapes = published.shapes(published.network(_fields(network)), image.shape[1])
    variables = jax.tree.map(lambda x: jnp.full(x.shape, 0.01), shapes)
    call = _our_call(network, variables, image, dtype)
  else:
    call = _their_call(predictor_twins.build(_fields(network), 0), image, dtype)
  for _ in range(3):
    jax.block_until_ready(call())
  # Not ru_maxrss, which a process inherits from the one that starts it.
  status = pathlib.Path('/proc/self/status').read_text()
  return int(status.split('VmHWM:')[1].split()[0]) / 1024


if __name__ == '__main__':
  main()
