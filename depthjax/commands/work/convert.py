"""`depthjax convert`: reads weights with one program's names and writes them with another's."""

import functools
import pathlib
from typing import Any

from depthjax.commands.convert import Network, Options
from depthjax.convert import checkpoints, mit, published, resnet50, sddr
from depthjax.files import atomic, errors
from depthjax.files import weights as weight_files
from depthjax.files.errors import InputError
from depthjax.models.predictors.catalogue import CATALOGUE
from depthjax.models.refinement.fusenet import FuseNet
from depthjax.models.refinement.refiners import from_config


def run(options: Options) -> None:
  """Converts one file."""
  network, file, output = options
  if network is Network.sddr and weight_files.task_of(file):
    _convert_back(file, output)
    return
  target = output / weight_files.FILE_NAME if errors.is_folder(output) else output
  atomic.check_output(target, ('.safetensors',))
  convert = _CONVERTERS.get(network, functools.partial(_predictor, network.value))
  variables, metadata, summary = convert(checkpoints.read(file), file)
  weight_files.save_weights(target, variables, {'task': network.value, **metadata})
  print(f'{target}: {summary}')


def _resnet50(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  variables, rest = resnet50.convert(tensors, file)
  return variables, {}, f'the encoder; omitted: {_modules(rest)}'


def _mit(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  variables, name, rest = mit.convert(tensors, file)
  return variables, {'size': name}, f'the backbone, {name}; omitted: {_modules(rest)}'


def _sddr(tensors: dict[str, Any], file: pathlib.Path) -> tuple[Any, dict[str, Any], str]:
  return sddr.convert(tensors, file), {'config': sddr.CONFIG}, 'the refinement network'


def _predictor(
  name: str, tensors: dict[str, Any], file: pathlib.Path
) -> tuple[Any, dict[str, Any], str]:
  fields = CATALOGUE[name].model
  variables = published.convert(tensors, fields, file)
  metadata = {'task': 'monocular', 'config': {'model': dict(fields)}}
  return variables, metadata, f'{name}, for --predictor'


def _convert_back(file: pathlib.Path, output: pathlib.Path) -> None:
  """Writes a refinement network with the names of the authors' release."""
  checkpoints.check_output(output)
  (model, *_), variables = weight_files.load_network(file, {'sddr': from_config})
  if not isinstance(model, FuseNet):
    raise InputError(file, 'contains the network of GBDF', 'a run with model.network=fusenet')
  checkpoints.write(output, sddr.to_state_dict(variables), 'net')
  print(f"{output}: the refinement network, with the names of the authors' release")


def _modules(names: list[str]) -> str:
  # Batch counters of PyTorch are not worth mentioning.
  modules = {name.partition('.')[0] for name in names if 'num_batches_tracked' not in name}
  return ', '.join(sorted(modules)) or 'nothing'


_CONVERTERS = {Network.resnet50: _resnet50, Network.mit: _mit, Network.sddr: _sddr}
