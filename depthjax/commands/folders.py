"""Folders of photographs with their depth maps: one after another, and what became of them."""

import collections
import pathlib
import sys
from collections.abc import Callable, Sequence

from rich import console, progress

from depthjax.configuring import ConfigError
from depthjax.files import depth, images
from depthjax.files.errors import InputError

# From the paths of a photograph, its depth and its result to the lines to print.
Work = Callable[[pathlib.Path, pathlib.Path, pathlib.Path], list[str]]


def map_pairs(
  photos: pathlib.Path,
  depths: pathlib.Path,
  output: pathlib.Path,
  work: Work,
  ending: Callable[[pathlib.Path], str],
) -> None:
  """Does `work` for every photograph of a folder, with the depth map of the same stem.

  The result has that stem, and the ending that `ending` gives a photograph. What cannot be done is
  one line on stderr, and the rest is done nevertheless. The folder `output` is made if need be.

  Raises:
    InputError: no such folders, no photograph, or an output that is one of the folders read.
    ConfigError: at the end, if there were failures: how many.
  """
  every = _files(photos, images.EXTENSIONS)
  if not every:
    right = f'files ending in {", ".join(images.EXTENSIONS)}'
    raise InputError(photos, 'holds no photograph', right)
  by_stem = collections.defaultdict(list)
  for path in _files(depths, depth.READABLE):
    by_stem[path.stem].append(path)
  _prepare(output, (photos, depths))
  stems = collections.Counter(path.stem for path in every)
  failed = missing = 0
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
    for photo in bar.track(every, description='photographs'):
      try:
        if stems[photo.stem] > 1:
          raise InputError(photo, 'shares its stem with another photograph', 'one of them')
        missing += not by_stem[photo.stem]
        pair = photo, _depth_of(photo, by_stem[photo.stem], depths)
        for line in work(*pair, output / f'{photo.stem}{ending(photo)}'):
          print(line)
      except (InputError, ConfigError) as error:
        failed += 1
        # Of a setting that does not fit, the error alone does not say which photograph it was.
        text = str(error) if isinstance(error, InputError) else f'{photo}: {error}'
        print(f'depthjax: {text}', file=sys.stderr)
  if failed:
    without = f', {missing} of them without a depth map' if missing else ''
    raise ConfigError(f'{failed} of {len(every)} photographs failed{without}')
  print(f'{output}: {len(every)} photographs')


def _depth_of(
  photo: pathlib.Path, candidates: Sequence[pathlib.Path], folder: pathlib.Path
) -> pathlib.Path:
  if not candidates:
    right = f'{folder / photo.stem} ending in {", ".join(depth.READABLE)}'
    raise InputError(photo, 'has no depth map', right)
  if len(candidates) > 1:
    names = ' and '.join(path.name for path in candidates)
    raise InputError(photo, f'has several depth maps ({names})', f'one of them in {folder}')
  return candidates[0]


def _files(folder: pathlib.Path, extensions: Sequence[str]) -> list[pathlib.Path]:
  """The files of a folder with these endings, by name; hidden ones are left alone."""
  if not folder.is_dir():
    wrong = 'is not a folder' if folder.exists() else 'does not exist'
    raise InputError(folder, wrong, 'a folder, as the photographs are in one')
  return sorted(
    path
    for path in folder.iterdir()
    if path.suffix.lower() in extensions and not path.name.startswith('.') and path.is_file()
  )


def _prepare(output: pathlib.Path, sources: Sequence[pathlib.Path]) -> None:
  """Makes the folder of the results; a result must not replace what it was made from."""
  if any(output.resolve() == source.resolve() for source in sources):
    raise InputError(output, 'is a folder that is read', 'another folder for the results')
  if output.exists() and not output.is_dir():
    raise InputError(output, 'is not a folder', 'a folder, as the photographs are in one')
  try:
    output.mkdir(exist_ok=True)
  except OSError as error:
    wrong = f'cannot be made ({error.strerror})'
    raise InputError(output, wrong, 'a name in an existing, writable folder') from error
