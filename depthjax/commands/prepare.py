"""`depthjax prepare`: a downloaded dataset to the form that training and evaluation read."""

import enum
import functools
import pathlib
from typing import Annotated

import typer
from rich import progress

from depthjax.prepare import catalogue, writing

Dataset = enum.StrEnum('Dataset', list(catalogue.DATASETS))
_SHOWN = 3  # skipped records named on the terminal; metadata.json has all


def prepare(
  name: Annotated[Dataset, typer.Argument(help='Which dataset.')],
  source: Annotated[pathlib.Path, typer.Option(help='Folder of the dataset as distributed.')],
  target: Annotated[pathlib.Path, typer.Option(help='Folder of prepared datasets.')],
  long_side: Annotated[
    int | None, typer.Option(min=16, help='Reduce to this many pixels; default: keep all.')
  ] = None,
  most_bad: Annotated[
    float, typer.Option(min=0, max=1, help='Share of the records that may be bad.')
  ] = 0.05,
) -> None:
  """Turn a dataset that you downloaded into TARGET/NAME, for tfds:TARGET/NAME in a config."""
  track = functools.partial(progress.track, description=f'preparing {name}', transient=True)
  done = writing.prepare(
    name.value, source, target, long_side=long_side, most_bad=most_bad, track=track
  )
  for line in done.skipped[:_SHOWN]:
    print(f'skipped: {line}')
  if len(done.skipped) > _SHOWN:
    print(f'skipped: {len(done.skipped) - _SHOWN} more, listed in {done.folder}/metadata.json')
  counts = ', '.join(f'{split} {count}' for split, count in done.counts.items())
  print(f'{done.folder}: {counts}, skipped {len(done.skipped)}')
