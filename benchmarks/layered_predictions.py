"""Depth maps of a real predictor refined by masks: recall of the border, and change elsewhere."""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import table

from depthjax.files import depth, images
from depthjax.metrics import masks
from depthjax.pipelines.mask_refine import fill

# A case, which has a photograph, an initial map and a mask, and perhaps `soft` -> refined map.
Method = Callable[..., np.ndarray]
_FILES = ('rgb.jpg', 'mask_u8.png', 'dpt_u8.png', 'boosting_u8.png', 'paper_result_u8.png')
_BLENDED = ', blended'
_NOTE = (
  'Means over the pictures; maps are disparity in [0, 1]. Recall of steps across the border of the '
  f'mask. Change in 8-bit levels, more than {masks.FAR} pixels from the border. Behind fill: the '
  'largest difference of the recalls of one picture. Any large step is recalled, also a wrong one.'
)


class Picture(NamedTuple):
  """A photograph [h w 3]; a soft mask and disparities, all [h w 1] in [0, 1]."""

  photo: np.ndarray
  mask: np.ndarray
  initial: np.ndarray
  boosting: np.ndarray
  paper: np.ndarray


def found(root: pathlib.Path) -> tuple[dict[str, Picture], list[pathlib.Path]]:
  """The pictures of a folder by name, and the missing files of others."""
  folder, pictures, absent = root / 'masks' / 'maskdepth', {}, []
  if not folder.is_dir():
    return {}, [folder]
  for path in sorted(folder.iterdir()):
    photo, *rest = files = [path / name for name in _FILES]
    missing = [file for file in files if not file.is_file()]
    absent += missing
    if not missing:
      grey = (depth.read_raw(file)[..., None] / 255 for file in rest)
      pictures[path.name] = Picture(images.read_image(photo), *grey)
  return pictures, absent


def compare(
  report: table.Report, pictures: Mapping[str, Picture], ours: Mapping[str, Method]
) -> None:
  """Prints recall and change of all methods, and the recall of each picture."""
  if not pictures:
    return
  scores = {
    name: [measured(method(picture), picture) for picture in pictures.values()]
    for name, method in _methods(ours).items()
  }
  recalls = {name: [recall for recall, _ in each] for name, each in scores.items()}
  rows = [
    {
      'method': name,
      'recall': float(np.mean(recalls[name])),
      'change': float(np.mean([change for _, change in each])),
      'behind fill': float(np.max(np.subtract(recalls['fill'], recalls[name]))),
    }
    for name, each in scores.items()
  ]
  report.table('real predictor', rows, _NOTE)
  hard = [name for name in scores if not name.endswith(_BLENDED)]
  rows = [
    {'picture': picture.split('-')[0], **{name: recalls[name][i] for name in hard}}
    for i, picture in enumerate(pictures)
  ]
  report.table('real predictor: recall', rows)


def _methods(ours: Mapping[str, Method]) -> dict[str, Method]:
  methods = {
    'initial': lambda picture: picture.initial,
    'Boosting': lambda picture: picture.boosting,
    'the paper': lambda picture: picture.paper,
  }
  for name, refine in {'fill, from 10 px inside': filled(10), 'fill': filled(), **ours}.items():
    methods |= {name: refine, name + _BLENDED: functools.partial(refine, soft=True)}
  return methods


def filled(pixels: int | None = None) -> Method:
  """`fill.refine` from a distance in pixels, or from its default in fractions of the long side."""

  def refine(case: Any, **fields) -> np.ndarray:
    fields |= {'distance': pixels / max(case.mask.shape)} if pixels else {}
    return fill.refine(case.initial, case.mask, **fields)

  return refine


def measured(result: np.ndarray, picture: Picture) -> tuple[float, float]:
  """Recall, and change in 8-bit levels, of a disparity [h w 1], clipped to [0, 1]."""
  maps = np.clip(result, 0, 1), picture.initial, picture.mask
  recall, change = _scores(*(x[None] for x in maps))
  return float(recall.value[0]), 255 * float(change.value[0])


@jax.jit
def _scores(result, initial, mask):
  return masks.recall(result, mask), masks.change(initial, result, mask)
