"""Photographs with shallow depth of field: errors of the renderers against the real lens.

python benchmarks/bokeh.py FOLDER [--weights runs/small --pictures DIR --json bokeh.json]

FOLDER and its subfolders hold all-in-focus photographs NAME_input.*, their disparity NAME_disp*.*
(near is large), and photographs with a wider aperture NAME_target.* or NAME_1_8.* (or --targets).
NAME_focal.* is an optional mask of the pixels in focus.
"""

import argparse
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import table
from rich import progress

from depthjax.files import depth, images
from depthjax.ops import colour
from depthjax.pipelines.refocus import refocus
from depthjax.scoring import photographs

# Without a mask, focus is searched at these quantiles of the disparity.
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Pair(NamedTuple):
  """A photograph, its disparity, the wide-aperture target, and candidate focus disparities."""

  name: str
  photo: np.ndarray
  disparity: np.ndarray
  target: np.ndarray
  focuses: list[float]


class Best(NamedTuple):
  """The best score of a renderer over focus and radius."""

  psnr: float
  ssim: float
  radius: float
  focus: float
  picture: np.ndarray


def main(argv: list[str] | None = None) -> table.Report:
  args = parser().parse_args(argv)
  files = list(triples(args.folder, args.targets))
  if not files:
    parser().error(f'{args.folder}: no NAME_input.* has a NAME_disp*.* and a target')
  if args.pictures:
    args.pictures.mkdir(parents=True, exist_ok=True)
  report = table.Report()
  methods = photographs.renderers(refocus.load(args.weights) if args.weights else refocus.builtin())
  rows = []
  for stem, word, paths in progress.track(files, description='photographs'):
    pair = read(stem, word, paths, args.width)
    found = {name: search(pair, render, args.radii) for name, render in methods.items()}
    found = {'unchanged input': untouched(pair), **found}
    rows += [_row(pair, name, best) for name, best in found.items()]
    if args.pictures:
      side_by_side(args.pictures / f'{pair.name.replace(" ", "_")}.jpg', pair, found)
  report.table(
    f'each photograph, {args.width} px wide',
    rows,
    f'For each renderer the radius (of {", ".join(f"{r:g}" for r in args.radii)} px) and focus of '
    'the highest PSNR. Focus is the median disparity inside the mask, or without one the best of '
    f'the quantiles {", ".join(map(str, _QUANTILES))} of the disparity. The exposure is matched to '
    'the target by a gain for each channel of linear light.',
  )
  report.table('mean over the photographs', _means(rows))
  report.save(args.json)
  return report


def parser() -> argparse.ArgumentParser:
  result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  result.add_argument('folder', type=pathlib.Path)
  result.add_argument('--weights', type=pathlib.Path, help='run; default: built in')
  words = ['target', '1_8']
  result.add_argument('--targets', nargs='+', default=words, help='suffixes of target names')
  result.add_argument('--width', type=int, default=768, help='width of the photographs')
  radii = [2, 4, 6, 8, 12, 16, 20, 26, 32]
  result.add_argument('--radii', type=float, nargs='+', default=radii, help='pixels at --width')
  result.add_argument('--pictures', type=pathlib.Path, help='folder for side-by-side pictures')
  result.add_argument('--json', type=pathlib.Path)
  return result


def triples(
  folder: pathlib.Path, words: list[str]
) -> Iterator[tuple[str, str, dict[str, pathlib.Path]]]:
  """NAME, the suffix of its target, and the files input, target, disp and optionally focal."""
  for path in sorted(folder.rglob('*_input.*')):
    name = path.name.partition('_input.')[0]
    others = {
      other.stem.removeprefix(f'{name}_'): other for other in sorted(path.parent.glob(f'{name}_*'))
    }
    disparity = next((other for word, other in others.items() if word.startswith('disp')), None)
    for word in words:
      if disparity and word in others:
        paths = {'input': path, 'target': others[word], 'disp': disparity}
        yield name, word, paths | ({'focal': others['focal']} if 'focal' in others else {})


def read(stem: str, word: str, paths: dict[str, pathlib.Path], width: int) -> Pair:
  """Reads an example at a width in pixels and matches the exposures."""
  photo, target = (images.read_image(paths[name]) for name in ('input', 'target'))
  shape = (round(photo.shape[0] * width / photo.shape[1]), width)
  photo, target = (_resized(image, shape) for image in (photo, target))
  disparity = depth.read_depth(paths['disp'], shape=shape).disparity
  focuses = [float(x) for x in np.quantile(disparity, _QUANTILES)]
  if 'focal' in paths:
    mask = _resized(images.read_image(paths['focal']), shape)[..., 0] > 0.5
    focuses = [float(np.median(disparity[mask]))] if mask.any() else focuses
  return Pair(f'{stem} {word}', matched(photo, target), disparity, target, focuses)


def matched(photo: np.ndarray, target: np.ndarray) -> np.ndarray:
  """The photograph with the mean of the target in each channel of linear light."""
  light, goal = (np.asarray(colour.srgb_to_linear(image)) for image in (photo, target))
  gain = goal.mean(axis=(0, 1)) / np.maximum(light.mean(axis=(0, 1)), 1e-6)
  return np.asarray(colour.linear_to_srgb(np.clip(light * gain, 0, 1)), np.float32)


def search(pair: Pair, render, radii: list[float]) -> Best:
  """The result of the renderer at the focus and radius with the highest PSNR."""
  lenses = (photographs.Lens(focus, radius) for focus in pair.focuses for radius in radii)
  found = (
    _best(pair, lens, render(pair.photo, pair.disparity, **lens._asdict())) for lens in lenses
  )
  return max(found, key=lambda best: best.psnr)


def untouched(pair: Pair) -> Best:
  return _best(pair, photographs.Lens(pair.focuses[0], 0.0), pair.photo)


def _best(pair: Pair, lens: photographs.Lens, picture: np.ndarray) -> Best:
  return Best(**photographs.compare(picture, pair.target), **lens._asdict(), picture=picture)


def side_by_side(path: pathlib.Path, pair: Pair, found: dict[str, Best]) -> None:
  """The photograph, the best result of each renderer, and the target, from left to right."""
  pictures = [best.picture for best in found.values()] + [pair.target]
  images.write_image(path, np.concatenate(pictures, axis=1))


def _resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
  method = cv2.INTER_AREA if shape[1] <= image.shape[1] else cv2.INTER_LINEAR
  return cv2.resize(image, shape[::-1], interpolation=method)


def _row(pair: Pair, name: str, best: Best) -> table.Row:
  values = {'PSNR, dB': best.psnr, 'SSIM': best.ssim}
  return {'photograph': pair.name, 'what': name, **_rounded(values), 'radius': f'{best.radius:g}'}


def _means(rows: list[table.Row]) -> list[table.Row]:
  names = dict.fromkeys(row['what'] for row in rows)
  return [
    {'what': name}
    | _rounded(
      {
        key: float(np.mean([float(row[key]) for row in rows if row['what'] == name]))
        for key in ('PSNR, dB', 'SSIM')
      }
    )
    for name in names
  ]


def _rounded(values: dict[str, float]) -> dict[str, str]:
  return {'PSNR, dB': f'{values["PSNR, dB"]:.2f}', 'SSIM': f'{values["SSIM"]:.3f}'}


if __name__ == '__main__':
  main()
