"""Depth maps that the commands write: checked before any work, with a preview, predicted ones."""

import pathlib

import numpy as np

from depthjax.commands.work import folders
from depthjax.files import atomic, colormaps, depth_values, errors, images
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.models.predictors import predictor as predictors
from depthjax.models.predictors.predictor import Predictor

# Metres in the largest value of a 16-bit PNG of millimetres.
_FARTHEST = 65.535


def check_output(output: pathlib.Path, preview: bool) -> list[pathlib.Path]:
  """Refuses an output that cannot be written, before any work; returns what would be written."""
  outputs = [atomic.check_output(output, depth_files.EXTENSIONS)]
  if preview:
    outputs.append(atomic.check_output(_preview(output), ('.png',)))
  return outputs


def write_preview(output: pathlib.Path, disparity: np.ndarray) -> None:
  """Writes NAME.preview.png beside the output NAME: normalised disparity [h w 1] in colours."""
  images.write_image(_preview(output), colormaps.colour(disparity))


def _preview(output: pathlib.Path) -> pathlib.Path:
  return output.with_name(f'{output.stem}.preview.png')


def write_predicted(
  output: pathlib.Path, found: depth_files.Depth, predictor: Predictor, preview: bool = False
) -> None:
  """Writes a result of pipelines.depth.predict_map and says what it is.

  Disparity in [0, 1], or depth in metres, in a PNG in millimetres.
  """
  values = found.raw
  text = f'{found.convention} from {values.min():.4g} to {values.max():.4g}'
  if found.convention == 'depth':
    text += ' m'
    if output.suffix.lower() == '.png':
      beyond = values > _FARTHEST
      values = np.clip(values / _FARTHEST, 0, 1)
      text += ', stored in mm'
      if beyond.any():
        text += f', {depth_values.percent(beyond)} beyond {_FARTHEST} m and clipped'
  else:
    text += ' without unit, near is large'
  depth_files.write_depth(output, values, channel='Z' if found.convention == 'depth' else 'Y')
  if preview:
    write_preview(output, found.disparity)
  h, w = predictors.frame(predictor, found.raw.shape)
  print(f'{output}: {text}; network input {w} x {h} pixels')


def saved_map(
  given: pathlib.Path | None, photo: pathlib.Path, output: pathlib.Path
) -> pathlib.Path | None:
  """Where --save-depth, if `given`, keeps the map of a result: in a folder for folders."""
  folder = given is not None and errors.is_folder(photo)
  return given / f'{output.stem}.png' if folder else given


def check_saved(saved: pathlib.Path | None, outputs: list[pathlib.Path]) -> list[pathlib.Path]:
  """Refuses a path of --save-depth that cannot be written; returns all that would be written."""
  if saved is None:
    return outputs
  atomic.check_output(saved, depth_files.EXTENSIONS)
  if saved.resolve() in [path.resolve() for path in outputs]:
    raise InputError(saved, 'would be both the result and its depth map', 'another --save-depth')
  return [*outputs, saved]


def create_saved(given: pathlib.Path | None, photo: pathlib.Path) -> None:
  """Creates the folder of --save-depth, if `given` for a folder of photographs."""
  if given is not None and errors.is_folder(photo):
    folders.create(given, (photo,))
