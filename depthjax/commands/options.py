"""Options that several commands have: types and help texts."""

import enum
import pathlib
from typing import Annotated

import typer
from typer import Argument, Option

# Polarity of the values in a depth file.
Convention = enum.StrEnum('Convention', 'disparity depth')
# Renderers of shallow depth of field.
Method = enum.StrEnum('Method', 'learned classical hybrid')
WEIGHTS = 'Folder of a training run, or its weights.safetensors'
_EMBEDDED = pathlib.Path('embedded')
_DEPTH = (
  'Its depth map, or a folder of them: PNG, TIFF, NPY, NPZ, PFM, EXR, grey JPEG; or the word '
  f'{_EMBEDDED}: the map inside the photograph'
)
_FORMATS = 'PNG, JPEG, WebP, TIFF, HEIC, AVIF'
_PHOTO = f'Photograph, or a folder of them: {_FORMATS}.'
PhotoFile = Annotated[pathlib.Path, Argument(help=f'Photograph: {_FORMATS}.')]
Photo = Annotated[pathlib.Path, Argument(help=_PHOTO)]
OptionalPhoto = Annotated[pathlib.Path | None, Argument(help=_PHOTO)]
Depth = Annotated[pathlib.Path | None, Argument(help=f'{_DEPTH}, which is the default.')]
OptionalDepth = Annotated[pathlib.Path | None, Argument(help=f'{_DEPTH}.')]
Values = Annotated[
  Convention, Option(help='Values of the depth map: disparity (near is large) or depth.')
]
Invalid = Annotated[
  float | None, Option(help='Value of missing pixels in the depth map, besides NaN and infinity.')
]
Channel = Annotated[
  str | None, Option(help='Channel of EXR files, or array of NPZ files, that holds the depth.')
]
Resume = Annotated[bool, Option('--resume', help='Skip results that exist already.')]
MaxMegapixels = Annotated[int, Option(min=1, help='Refuse larger photographs and depth maps.')]
Weights = Annotated[pathlib.Path | None, Option(help=f'{WEIGHTS}; default: built in.')]


def is_embedded(depth: pathlib.Path | None) -> bool:
  """Whether the argument DEPTH means the map inside the photograph, and not a file."""
  return depth == _EMBEDDED and not depth.exists()


def output(text: str) -> typer.models.OptionInfo:
  """The option -o, --output with a help text."""
  return Option('-o', '--output', help=text)
