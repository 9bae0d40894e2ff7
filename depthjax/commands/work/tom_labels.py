"""`depthjax tom-labels`: reads photographs and masks, predicts virtual labels and writes them."""

import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np

from depthjax.commands.tom_labels import Colours, Options
from depthjax.commands.work import folders, pairs
from depthjax.data import colours
from depthjax.files import disk, errors, images, labels, masks, weights
from depthjax.files.errors import InputError
from depthjax.models.predictors.predictor import Predictor
from depthjax.pipelines import predictors, virtual_labels

# Not those in JPEG, which has no exact ids.
_KINDS = pairs.PHOTOGRAPH, pairs.MASK._replace(endings=pairs.MASK.endings[:-1])
# What labels.json records of the predictor and of the options.
_UNITS = 'output', 'metric', 'input_size', 'input_rule', 'multiple', 'resizing'
_PRESET = 'passes', 'colours', 'dilate', 'seed'


def run(options: Options) -> None:
  """Predicts the label of one photograph, or those of a folder."""
  if options.ids:
    _check_ids(options)
  folders.map_files(
    (options.photo, options.mask),
    options.output,
    load=lambda: _loaded(options),
    check=labels.outputs,
    ending=lambda _: '.npy',
    kinds=_KINDS,
    resume=errors.is_folder(options.photo),
  )


def _check_ids(options: Options) -> None:
  """Refuses ids that no mask holds, before any work."""
  paths, found = [options.mask], set()
  if errors.is_folder(options.photo):
    groups = pairs.groups((options.photo, options.mask), _KINDS)
    paths = [path for _, (given,) in groups for path in given]
  for path in paths:
    with contextlib.suppress(InputError):  # Reported with its photograph.
      found.update(np.unique(masks.read_stored(path)).tolist())
    if not found.isdisjoint(options.numbers()):
      return
  if found:
    right = f'some of {", ".join(map(str, sorted(found)[:16]))}'
    raise InputError(options.mask, f'has no id of --ids={options.ids}', right)


def _loaded(options: Options) -> Callable[..., None]:
  """Loads the predictor, and refuses a folder of other labels; a new folder gets its record."""
  predictor, claims = predictors.load(options.predictor), None
  record = {'predictor': predictor.name, 'sha256': weights.digest(predictor.variables)}
  record |= {name: getattr(predictor, name) for name in _UNITS}
  record |= {name: getattr(options, name) for name in _PRESET} | {'ids': list(options.numbers())}
  if errors.is_folder(options.photo):
    folders.create(options.output, (options.photo, options.mask))
    labels.keep_record(options.output, record | {'masks': options.mask.absolute().name})
    file = options.output / '.claims'
    with disk.write_errors(file):
      claims = os.open(file, os.O_RDWR | os.O_CREAT)  # Until the process ends.
  elif errors.status(options.output.parent / labels.RECORD):
    labels.keep_record(options.output.parent, record)
  return functools.partial(_label_one, options, predictor, claims)


def _claimed(file: int, name: str) -> bool:
  """Whether no other process has claimed a name; then it is claimed until this process ends.

  A claim is a lock on the byte of the file at a hash of the name. The kernel releases it. On a file
  system without locks no name is claimed, and processes make the same labels.
  """
  offset = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
  try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
  except OSError as error:
    return not isinstance(error, BlockingIOError | PermissionError)
  return True


def _label_one(
  options: Options, predictor: Predictor, claims: int | None, *paths: pathlib.Path, show: bool
) -> None:
  """Makes a label, unless another process does; `show` is unused, there is no progress.

  `claims` is a descriptor, see `_claimed`, or None; `paths` are photograph, mask and label.
  """
  photo, mask, output = paths
  if claims is not None and not _claimed(claims, output.name):
    return print(f'{output}: is made by another process')
  read = masks.read_stored if options.ids else masks.read_largest
  limit = {'max_pixels': options.max_megapixels * 10**6}
  picture, ids = images.read_image(photo, **limit), read(mask, **limit)
  if ids.shape != picture.shape[:2]:
    wrong, right = (f'{x.shape[1]} x {x.shape[0]} pixels' for x in (ids, picture))
    raise InputError(mask, f'is {wrong}', f'{right}, as {photo}')
  fields = {'ids': options.numbers(), 'instances': options.colours is Colours.instance}
  regions = virtual_labels.regions(ids, **fields, dilate=options.dilate)
  count = int(regions.max())
  drawn = colours.of_name(options.seed, pairs.stem(photo), options.passes, max(1, count))
  labels.write(output, virtual_labels.label(picture, regions, drawn, predictor))
  how = f'{options.passes} passes, {count} painted' if count else 'not painted, the mask is empty'
  print(f'{output}: disparity of {predictor.name}, {how}')
