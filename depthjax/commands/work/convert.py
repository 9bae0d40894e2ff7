"""`depthjax convert`: reads weights by one program's names and writes them by another's."""

import pathlib
from typing import Any

from depthjax.commands.convert import Network, Options
from depthjax.convert import checkpoints, mit, resnet50, sddr
from depthjax.files import atomic
from depthjax.files import weights as weight_files
from depthjax.files.errors import InputError
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import from_config


def run(options: Options) -> None:
  """Converts one file."""
  network, file, output = options
  if network is Network.sddr and weight_files.is_ours(file):
    _back(file, output)
    return
  target = output / weight_files.FILE_NAME if output.is_dir() else output
  atomic.check_output(target, ('.safetensors',))
  tensors = checkpoints.read(file)
  variables, metadata, words = _CONVERTERS[network](tensors, file)
  weight_files.save_weights(target, variables, {'task': network.value, **metadata})
  print(f'{target}: {words}')


def _resnet50(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  variables, rest = resnet50.convert(tensors, file)
  return variables, {}, f'the encoder; left out: {_parts(rest)}'


def _mit(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  variables, size, rest = mit.convert(tensors, file)
  words = f'the backbone, MiT-{size.upper()}; left out: {_parts(rest)}'
  return variables, {'size': size}, words


def _sddr(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  return sddr.convert(tensors, file), {'config': sddr.CONFIG}, 'the refinement network'


def _back(file: pathlib.Path, output: pathlib.Path) -> None:
  checkpoints.check_output(output)
  (model, *_), variables = weight_files.load_network(file, {'sddr': from_config})
  if not isinstance(model, FuseNet):
    raise InputError(file, 'holds the network of GBDF', "a run's with model.network=fusenet")
  checkpoints.write(output, sddr.to_state_dict(variables), 'net')
  print(f"{output}: the refinement network by the release's names")


def _parts(rest: list[str]) -> str:
  # Not worth a word: how many batches a norm of PyTorch has seen.
  parts = {name.partition('.')[0] for name in rest if 'num_batches_tracked' not in name}
  return ', '.join(sorted(parts)) or 'nothing'


_CONVERTERS = {Network.resnet50: _resnet50, Network.mit: _mit, Network.sddr: _sddr}
