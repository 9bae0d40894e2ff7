"""Types and help texts of the options that several commands share."""

import enum
import pathlib
from typing import Annotated

import typer
from typer import Argument, Option

# What the values of a depth file are.
Convention = enum.StrEnum('Convention', 'disparity depth')
# Renderers of shallow depth of field.
Method = enum.StrEnum('Method', 'learned classical hybrid')
_DEPTH = 'Its depth: PNG, TIFF, NPY, PFM, EXR; or a folder of the same names.'
Depth = Annotated[pathlib.Path, Argument(help=_DEPTH)]
OptionalDepth = Annotated[pathlib.Path | None, Argument(help=_DEPTH)]
Values = Annotated[Convention, Option(help='Whether large values are near or far.')]
Invalid = Annotated[
  float | None, Option(help='Value that marks missing depth, beside NaN and infinity.')
]
Weights = Annotated[
  pathlib.Path | None, Option(help="A run's folder or its weights; default: built in.")
]


def output(text: str) -> typer.models.OptionInfo:
  """The option -o, --output; the text says what it may be."""
  return Option('-o', '--output', help=text)
