"""Training records of photos with masks of transparent and mirror surfaces (ToM), and labels.

The augmentation is that of Costanzino et al., "Learning depth estimation for transparent and mirror
surfaces", ICCV 2023, and Ranftl et al., "Towards robust monocular depth estimation", TPAMI 2022.
"""

import dataclasses
from typing import Any

import cv2
import grain
import numpy as np

from depthjax.data import colours, pipeline
from depthjax.data.records.labelled_config import LabelledConfig
from depthjax.data.sources import mixtures, remote, tom
from depthjax.data.sources import photos as photo_sources
from depthjax.files import labels, weights
from depthjax.files.errors import InputError


def example(fields: dict[str, Any]) -> dict[str, np.ndarray]:
  """One record, of an empty photo.

  Raises ValueError: a field out of range.
  """
  shape = fields['height'], fields['width']
  item = {'image': np.zeros((*shape, 3), np.uint8), 'tom': np.zeros(shape, bool)}
  return TakeLabelled(shape, _config(fields), False).random_map(item, np.random.default_rng(0))


def records(fields: dict[str, Any], split: str, seed: int) -> grain.MapDataset:
  """Records of a split of `label_source`, for training endless; see sources.tom.

  Those of 'val' and 'test' come once, in order; None cannot be read.

  Raises ValueError: a field out of range, or a source that cannot be read.
  """
  config, train = _config(fields), split == 'train'
  take = TakeLabelled((fields['height'], fields['width']), config, train and config.augment)

  def opened(where: str, part_seed: int) -> grain.MapDataset:
    source = tom.Labelled(where, split, config.labels, config.masks)
    source = photo_sources.Skipping(source, where, replace=train)
    return pipeline.examples(source, [take], seed=part_seed, train=train)

  parts = mixtures.parse(fields['label_source'])
  if not parts:
    raise ValueError("data.label_source is ''; it must be a folder with images/ and masks/")
  return pipeline.mixture(parts, seed, opened, train=train)


def check_start(fields: dict[str, Any], path: str) -> None:
  """Compares the network whose outputs the labels are with the weights that training starts from.

  Raises InputError: they differ, or `path` is '', so that the labels are in other units.
  """
  name, wheres = _config(fields).labels, [x.where for x in mixtures.parse(fields['label_source'])]
  folders = [remote.fetch(x) for x in wheres if name and not x.startswith('tfds:')]
  files = [x for folder in folders for x in sorted(folder.rglob(f'{name}/**/{labels.RECORD}'))]
  digest = weights.digest(weights.load_weights(path)[0]) if files and path else ''
  for file in files:
    record = labels.read_record(file.parent)
    if record.get('sha256') != digest:
      wrong = f'has labels of {record.get("predictor")}, not of {path or "random weights"}'
      raise InputError(file, wrong, 'labels of the weights in initialise.weights')


def _config(fields):
  if not fields.get('labelled'):
    raise ValueError("data.kind is 'labelled', but the table data.labelled is missing")
  return LabelledConfig(**fields['labelled'])


@dataclasses.dataclass(frozen=True, eq=False)
class TakeLabelled(grain.transforms.RandomMap):
  """Makes a record of `shape` (h, w) from an item of sources.tom."""

  shape: tuple[int, int]
  config: LabelledConfig
  augment: bool

  def random_map(self, element, rng):
    """The record.

    Returns:
      image: uint8 [h w 3], sRGB.
      tom, label: float32 [h w 1]; the label is 0 without labels.
      jitter: float32 [4], as in ops.colour: for after labelling, so it is not applied here.
      colours: float32 [n 3]; absent if `colours` is 0.
    """
    draws, gains = rng.random(4), rng.uniform([0.8, 0.5, *[0.8] * 3], 1.2)
    maps = {name: np.asarray(x, np.float32) for name, x in element.items()}
    label, size = maps.get('label', np.zeros((1, 1), np.float32)), maps['tom'].shape[::-1]
    maps['label'] = cv2.resize(label, size, interpolation=cv2.INTER_LINEAR)
    if self.augment and draws[0] < 0.5:
      maps = {name: np.ascontiguousarray(x[:, ::-1]) for name, x in maps.items()}
    position = draws[1:3] if self.augment else (0.5, 0.5)
    maps = {name: self._framed(x, position, name == 'image') for name, x in maps.items()}
    jittered = self.augment and draws[3] < 0.5
    jitter = [gains[0], *gains[1] * gains[2:]] if jittered else np.ones(4)
    out = {name: x[..., None] for name, x in maps.items() if name != 'image'}
    out |= {'image': np.rint(maps['image'].clip(0, 255)).astype(np.uint8)}
    if self.config.colours:
      out['colours'] = colours.colours(rng, self.config.colours)
    return {**out, 'jitter': np.asarray(jitter, np.float32)}

  def _framed(self, x, position, cubic):
    """A map [H W] or [H W 3] at the size of the frame, by the rule."""
    h, w = x.shape[:2]
    options = {'interpolation': cv2.INTER_CUBIC if cubic else cv2.INTER_NEAREST}
    if self.config.rule == 'square':
      above, left = ((max(h, w) - size) // 2 for size in (h, w))
      sides = above, max(h, w) - h - above, left, max(h, w) - w - left
      x = cv2.copyMakeBorder(x, *sides, cv2.BORDER_REFLECT_101)
      return cv2.resize(x, self.shape[::-1], **options)
    scale = max(self.shape[0] / h, self.shape[1] / w)
    size = [self._rounded(n * scale, least) for n, least in zip((h, w), self.shape, strict=True)]
    x = cv2.resize(x, size[::-1], **options)
    pairs = zip(position, size, self.shape, strict=True)
    top, left = (int(at * (n - kept + 1)) for at, n, kept in pairs)
    return x[top : top + self.shape[0], left : left + self.shape[1]]

  def _rounded(self, length, least):
    """The nearest multiple, or the next one above if that is below `least`."""
    multiple = self.config.multiple
    nearest = multiple * round(length / multiple)
    return nearest if nearest >= least else multiple * -int(-length // multiple)
