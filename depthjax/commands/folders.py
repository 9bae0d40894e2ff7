"""Folders of photographs with their depth maps: one after another, and what became of them."""

import collections
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich import console, progress

from depthjax.configuring import ConfigError
from depthjax.files import depth, images
from depthjax.files.errors import InputError

# From the paths of a photograph, its depth map (or several) and its result to the lines to print.
Work = Callable[..., list[str]]


class Kind(NamedTuple):
  """What is worked on: its name, and the endings of such files."""

  name: str
  extensions: Sequence[str]


PHOTOGRAPH = Kind('photograph', images.EXTENSIONS)
DEPTH_MAP = Kind('depth map', depth.READABLE)


def map_pairs(
  photos: pathlib.Path,
  depths: pathlib.Path,
  output: pathlib.Path,
  work: Work,
  ending: Callable[[pathlib.Path], str],
) -> None:
  """Does `work` for every photograph of a folder, with the depth map of the same stem.

  As `map_stems`, of which it is the usual case.
  """
  map_stems(PHOTOGRAPH, photos, (depths,), output, work, ending)


def map_stems(
  kind: Kind,
  first: pathlib.Path,
  depths: Sequence[pathlib.Path],
  output: pathlib.Path,
  work: Work,
  ending: Callable[[pathlib.Path], str],
) -> None:
  """Does `work` for every file of a kind in a folder, with the depth maps of the same stem.

  The result has that stem, and the ending that `ending` gives the file. What cannot be done is
  one line on stderr, and the rest is done nevertheless. The folder `output` is made if need be.

  Args:
    kind: what `first` holds.
    first: the folder whose files are worked on.
    depths: folders that hold a depth map for each of them.
    output: folder of the results.
    work: called with a file, its depth map of each folder, and the path of its result.
    ending: from a file to the ending of its result.

  Raises:
    InputError: no such folders, none of the kind, or an output that is one of the folders read.
    ConfigError: at the end, if there were failures: how many.
  """
  every = _files(first, kind, kind)
  if not every:
    right = f'files ending in {", ".join(kind.extensions)}'
    raise InputError(first, f'holds no {kind.name}', right)
  maps = [(folder, _by_stem(folder, kind)) for folder in depths]
  _prepare(output, (first, *depths), kind)
  stems = collections.Counter(path.stem for path in every)
  failed = missing = 0
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
    for path in bar.track(every, description=f'{kind.name}s'):
      try:
        if stems[path.stem] > 1:
          raise InputError(path, f'shares its stem with another {kind.name}', 'one of them')
        missing += not all(by_stem[path.stem] for _, by_stem in maps)
        found = [_depth_of(path, by_stem[path.stem], folder) for folder, by_stem in maps]
        for line in work(path, *found, output / f'{path.stem}{ending(path)}'):
          print(line)
      except (InputError, ConfigError) as error:
        failed += 1
        # Of a setting that does not fit, the error alone does not say which file it was.
        text = str(error) if isinstance(error, InputError) else f'{path}: {error}'
        print(f'depthjax: {text}', file=sys.stderr)
  if failed:
    without = f', {missing} of them without a depth map' if missing else ''
    raise ConfigError(f'{failed} of {len(every)} {kind.name}s failed{without}')
  print(f'{output}: {len(every)} {kind.name}s')


def _by_stem(folder: pathlib.Path, kind: Kind) -> dict[str, list[pathlib.Path]]:
  """The depth maps of a folder, of each stem."""
  result = collections.defaultdict(list)
  for path in _files(folder, DEPTH_MAP, kind):
    result[path.stem].append(path)
  return result


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


def _files(folder: pathlib.Path, of: Kind, kind: Kind) -> list[pathlib.Path]:
  """The files of a kind in a folder, by name; hidden ones are left alone."""
  if not folder.is_dir():
    wrong = 'is not a folder' if folder.exists() else 'does not exist'
    raise InputError(folder, wrong, f'a folder, as the {kind.name}s are in one')
  return sorted(
    path
    for path in folder.iterdir()
    if path.suffix.lower() in of.extensions and not path.name.startswith('.') and path.is_file()
  )


def _prepare(output: pathlib.Path, sources: Sequence[pathlib.Path], kind: Kind) -> None:
  """Makes the folder of the results; a result must not replace what it was made from."""
  if any(output.resolve() == source.resolve() for source in sources):
    raise InputError(output, 'is a folder that is read', 'another folder for the results')
  if output.exists() and not output.is_dir():
    raise InputError(output, 'is not a folder', f'a folder, as the {kind.name}s are in one')
  try:
    output.mkdir(exist_ok=True)
  except OSError as error:
    wrong = f'cannot be made ({error.strerror})'
    raise InputError(output, wrong, 'a name in an existing, writable folder') from error
