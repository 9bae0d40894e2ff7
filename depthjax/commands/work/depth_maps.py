"""Depth maps of the commands: read, predicted, and written with a preview."""

from pathlib import Path
from typing import Any

import numpy as np

from depthjax.commands import options as options_lib
from depthjax.commands.work import folders
from depthjax.files import atomic, colormaps, depth_values, errors, images
from depthjax.files import depth as depth_files
from depthjax.files.errors import InputError
from depthjax.models.predictors import predictor as predictor_lib
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import depth as depth_lib
from depthjax.pipelines import predictors

# Metres in the largest value of a 16-bit PNG of millimetres.
_FARTHEST = 65.535


def check_output(output: Path, preview: bool) -> list[Path]:
  """Refuses an output that cannot be written, before any work; returns what would be written."""
  outputs = [atomic.check_output(output, depth_files.EXTENSIONS)]
  if preview:
    outputs.append(atomic.check_output(_preview(output), ('.png',)))
  return outputs


def check_refined(options: tuple, output: Path) -> list[Path]:
  """As `check_output`, with the preview and --save-depth of refine or mask-refine."""
  return check_kept(options, check_output(output, options.preview))


def write_preview(output: Path, disparity: np.ndarray) -> None:
  """Writes NAME.preview.png beside the output NAME: normalised disparity [h w 1] in colours."""
  images.write_image(_preview(output), colormaps.colour(disparity))


def _preview(output: Path) -> Path:
  return output.with_name(f'{output.stem}.preview.png')


def write_predicted(
  output: Path, found: depth_files.Depth, predictor: Predictor, preview: bool = False
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
      if beyond.all():
        wrong = f'would hold depth beyond {_FARTHEST} m alone, which 16 bits of millimetres cannot'
        raise InputError(output, wrong, 'a name ending in .npy, .pfm, .exr or .tif')
      values = np.clip(values / _FARTHEST, 0, 1)
      text += ', stored in mm'
      if beyond.any():
        text += f', {depth_values.percent(beyond)} beyond {_FARTHEST} m and clipped'
  else:
    text += ' without unit, near is large'
  depth_files.write_depth(output, values, channel='Z' if found.convention == 'depth' else 'Y')
  if preview:
    write_preview(output, found.disparity)
  h, w = predictor_lib.frame(predictor, found.raw.shape)
  print(f'{output}: {text}; network input {w} x {h} pixels')


def read(
  options: tuple, photo: Path, depth: Path | None = None, **fields: Any
) -> depth_files.Depth:
  """Reads the depth map of a photograph, by default that inside it; fields of `read_depth`."""
  fields |= options_lib.reading(options) | {'convention': options.convention.value}
  found = depth_files.read_depth(depth or photo, embedded=depth is None, **fields)
  print(f'{depth or photo}: {found.summary}')
  return found


def load(options: tuple) -> Predictor | None:
  """Loads --predictor of refocus or refine, if given; creates a folder for --save-depth."""
  if options.predictor is None:
    return None
  if options.save_depth is not None and errors.is_folder(options.photo):
    if options.save_depth.resolve() == options.output.resolve():
      raise InputError(options.save_depth, 'is also the output', 'another folder')
    folders.create(options.save_depth, (options.photo,))
  return predictors.load(options.predictor)


def predict(
  options: tuple, predictor: Predictor, picture: np.ndarray, photo: Path, output: Path
) -> depth_files.Depth:
  """Predicts the depth map of a photograph for refocus or refine; keeps it if wanted."""
  percentiles = options_lib.reading(options)['percentiles']
  found = depth_lib.predict_map(picture, predictor, percentiles=percentiles, name=photo)
  print(f'{photo}: predicted {found.summary}')
  if options.save_depth is not None:
    write_predicted(_kept(options, output), found, predictor)
  return found


def check_kept(options: tuple, outputs: list[Path]) -> list[Path]:
  """Refuses a file of --save-depth that cannot be written; returns all that would be written."""
  if options.save_depth is None:
    return outputs
  kept = atomic.check_output(_kept(options, outputs[0]), depth_files.EXTENSIONS)
  if kept.resolve() in [path.resolve() for path in outputs]:
    raise InputError(kept, 'would be both the result and its depth map', 'another --save-depth')
  return [*outputs, kept]


def _kept(options: tuple, output: Path) -> Path:
  """Where --save-depth keeps the map of a result: in a folder for folders."""
  is_folder = errors.is_folder(options.photo)
  return options.save_depth / f'{output.stem}.png' if is_folder else options.save_depth
