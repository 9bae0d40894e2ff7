"""Applies a command to a file, or to every file of a folder and the depth maps of its stem."""

import collections
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich import console, progress

from depthjax.commands import runner
from depthjax.configuring import ConfigError
from depthjax.files import depth, images
from depthjax.files.errors import InputError

# Arguments: paths of a photograph, its depth maps and its result; show=whether to show progress.
Work = Callable[..., None]


class Kind(NamedTuple):
  """A kind of files."""

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
  """Does the work of a command for a file, or for every file of a folder.

  In folders, files that belong together have the same stem. A failed file is one line on stderr;
  the others are still processed.

  Args:
    sources: a file and its depth maps, or a folder and folders of depth maps.
    output: the result, or the folder of the results, which is created.
    load: returns the work; called after the output of a single file was checked.
    check: refuses the path of a result that cannot be written.
    ending: from a file to the ending of its result.
    kind: of the first of the sources.

  Raises:
    InputError: a missing folder, no files of this kind, or an output that is one of the sources.
    ConfigError: invalid values; for folders, how many files failed.
  """
  if not sources[0].is_dir():
    check(output)
    with runner.refusals():
      load()(*sources, output, show=True)
    return
  work = load()

  def do(path: pathlib.Path, *depths: pathlib.Path) -> None:
    result = output / f'{path.stem}{ending(path)}'
    check(result)
    work(path, *depths, result, show=False)

  _map_stems(do, sources, output, kind)


def _map_stems(
  do: Callable[..., None], sources: Sequence[pathlib.Path], output: pathlib.Path, kind: Kind
) -> None:
  """Calls `do` with every file of the first folder and the depth maps of its stem."""
  files = _by_stem(sources[0], kind)
  depths = [_by_stem(folder, DEPTH_MAP) for folder in sources[1:]]
  every = sorted(path for paths in files.values() for path in paths)
  if not every:
    right = f'files ending in {", ".join(kind.extensions)}'
    raise InputError(sources[0], f'contains no {kind.name}', right)
  _create(output, sources)
  failed = missing = 0
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  # Lines on stdout move to the bar's console only if both are terminals.
  fields = {'console': console.Console(stderr=True), 'redirect_stdout': sys.stdout.isatty()}
  with progress.Progress(*columns, **fields) as bar:
    for path in bar.track(every, description=f'{kind.name}s'):
      try:
        if len(files[path.stem]) > 1:
          wrong = f'has the same name as another {kind.name}, except for the ending'
          raise InputError(path, wrong, 'one of them')
        missing += not all(by_stem[path.stem] for by_stem in depths)
        pairs = zip(depths, sources[1:], strict=True)
        do(path, *(_depth_of(path, by_stem[path.stem], folder) for by_stem, folder in pairs))
      except (ValueError, ConfigError) as error:
        failed += 1
        # Only an InputError names the file.
        runner.say(str(error) if isinstance(error, InputError) else f'{path}: {error}')
  if failed:
    without = f', {missing} of them without a depth map' if missing else ''
    raise ConfigError(f'{failed} of {len(every)} {kind.name}s failed{without}')
  print(f'{output}: {len(every)} {kind.name}s')


def _depth_of(
  photo: pathlib.Path, candidates: Sequence[pathlib.Path], folder: pathlib.Path
) -> pathlib.Path:
  if len(candidates) > 1:
    names = ' and '.join(path.name for path in candidates)
    raise InputError(photo, f'has several depth maps ({names})', f'one of them in {folder}')
  if not candidates:
    right = f'{folder / photo.stem} ending in {", ".join(depth.READABLE)}'
    raise InputError(photo, 'has no depth map', right)
  return candidates[0]


def _by_stem(folder: pathlib.Path, kind: Kind) -> dict[str, list[pathlib.Path]]:
  """Files of a kind in a folder by stem, without hidden ones."""
  if not folder.is_dir():
    wrong = 'is not a folder' if folder.exists() else 'does not exist'
    raise InputError(folder, wrong, 'a folder, like the first input')
  result = collections.defaultdict(list)
  for path in sorted(folder.glob('[!.]*')):
    if path.suffix.lower() in kind.extensions and path.is_file():
      result[path.stem].append(path)
  return result


def _create(output: pathlib.Path, sources: Sequence[pathlib.Path]) -> None:
  """Creates the folder of the results; it must not be an input folder."""
  if output.resolve() in [source.resolve() for source in sources]:
    raise InputError(output, 'is an input folder', 'another folder for the results')
  try:
    output.mkdir(exist_ok=True)
  except OSError as error:
    wrong = f'cannot be created ({error.strerror})'
    raise InputError(output, wrong, 'a name in an existing, writable folder') from error
