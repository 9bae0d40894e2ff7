"""A file, or a folder of them with their depth maps: one after another, and what failed."""

import collections
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich import console, progress

from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.files import depth, images
from depthjax.files.errors import InputError

# From the paths of a photograph, its depth maps and its result, and whether to show a bar of
# progress (show=), to the lines to print.
Work = Callable[..., list[str]]


class Kind(NamedTuple):
  """What is worked on: its name, and the endings of such files."""

  name: str
  extensions: Sequence[str]


PHOTOGRAPH = Kind('photograph', images.EXTENSIONS)
DEPTH_MAP = Kind('depth map', depth.READABLE)


def map_files(
  sources: Sequence[pathlib.Path],
  output: pathlib.Path,
  *,
  load: Callable[[], Work],
  check: Callable[[pathlib.Path], None],
  ending: Callable[[pathlib.Path], str],
  kind: Kind = PHOTOGRAPH,
) -> None:
  """Does the work of a command for a file, or for every file of a folder, and prints its lines.

  In folders all have the same stem; what cannot be done is one line on stderr, the rest is done.

  Args:
    sources: a file and its depth maps, if any; or a folder and those of the depth maps.
    output: the result, or the folder of the results, which is made if need be.
    load: gives the work. A single result is known to be writable by then.
    check: refuses the path of a result that could not be written.
    ending: from a file to the ending of its result.
    kind: what the first of the sources is or holds.

  Raises:
    InputError: no such folders, none of the kind, or an output that is one of the folders read.
    ConfigError: what the work refuses; of folders, at the end, how many files failed.
  """
  if not sources[0].is_dir():
    check(output)
    with runner.refusals():
      for line in load()(*sources, output, show=True):
        print(line)
    return
  work = load()

  def do(path: pathlib.Path, *depths: pathlib.Path) -> None:
    result = output / f'{path.stem}{ending(path)}'
    check(result)
    for line in work(path, *depths, result, show=False):
      print(line)

  _map_stems(do, sources, output, kind)


def _map_stems(
  do: Callable[..., None], sources: Sequence[pathlib.Path], output: pathlib.Path, kind: Kind
) -> None:
  """Calls `do` with every file of the first folder and the depth maps of its stem."""
  first, *depths = sources
  every = _files(first, kind, kind)
  if not every:
    right = f'files ending in {", ".join(kind.extensions)}'
    raise InputError(first, f'holds no {kind.name}', right)
  maps = [(folder, _by_stem(folder, kind)) for folder in depths]
  _prepare(output, sources, kind)
  stems = collections.Counter(path.stem for path in every)
  failed = missing = 0
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
    for path in bar.track(every, description=f'{kind.name}s'):
      try:
        if stems[path.stem] > 1:
          raise InputError(path, f'shares its stem with another {kind.name}', 'one of them')
        missing += not all(by_stem[path.stem] for _, by_stem in maps)
        do(path, *(_depth_of(path, by_stem[path.stem], folder) for folder, by_stem in maps))
      except (ValueError, ConfigError) as error:
        failed += 1
        # Of a setting that does not fit, the error alone does not say which file it was.
        runner.say(str(error) if isinstance(error, InputError) else f'{path}: {error}')
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
