"""`depthjax convert`: published weights as those that a training run can start from."""

import enum
import pathlib
from typing import Annotated

import typer

from depthjax.convert import checkpoints, resnet50
from depthjax.files import atomic
from depthjax.files import weights as weight_files


class Network(enum.StrEnum):
  """What can be converted."""

  resnet50 = 'resnet50'


def convert(
  network: Annotated[Network, typer.Argument(help='What the file holds.')],
  file: Annotated[pathlib.Path, typer.Argument(help='Its weights: .safetensors or .pth.')],
  output: Annotated[
    pathlib.Path, typer.Option('-o', '--output', help='A .safetensors file, or a folder for one.')
  ],
) -> None:
  """Convert published weights, for --config.initialise.weights of a training run."""
  target = output / weight_files.FILE_NAME if output.is_dir() else output
  atomic.check_output(target, ('.safetensors',))
  variables, rest = resnet50.convert(checkpoints.read(file), file)
  weight_files.save_weights(target, variables, {'task': network.value})
  # Not worth a word: how many batches a norm of PyTorch has seen.
  parts = sorted({name.partition('.')[0] for name in rest if 'num_batches_tracked' not in name})
  print(f'{target}: the encoder; left out: {", ".join(parts) or "nothing"}')
