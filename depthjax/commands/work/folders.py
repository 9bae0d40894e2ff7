"""Applies a command to a file, or to every file of a folder and its depth maps and masks."""

import pathlib
import sys
from collections.abc import Callable, Sequence

from rich import console, progress

from depthjax.commands import runner
from depthjax.commands.work import pairs
from depthjax.configuring import ConfigError
from depthjax.files import atomic, errors
from depthjax.files.errors import InputError

# Arguments: paths of a photograph, its depth maps and masks, its result; show: whether progress is.
Work = Callable[..., None]


def map_files(
  sources: Sequence[pathlib.Path],
  output: pathlib.Path,
  *,
  load: Callable[[], Work],
  check: Callable[[pathlib.Path], Sequence[pathlib.Path]],
  ending: Callable[[pathlib.Path], str],
  kinds: Sequence[pairs.Kind] = (pairs.PHOTOGRAPH, pairs.DEPTH_MAP),
  resume: bool = False,
) -> None:
  """Does the work of a command for a file, or for every file of a folder.

  In folders, files belong together by their names, see pairs.py. A failed file is one line on
  stderr; the others are still processed.

  Args:
    sources: a file and its depth maps or masks, or a folder and folders of these.
    output: the result, or the folder of the results, which is created.
    load: returns the work; called after the output of a single file was checked.
    check: refuses the path of a result that cannot be written; returns all that would be written.
    ending: from a file to the ending of its result.
    kinds: of the sources, and possibly of more.
    resume: skip files whose results exist.

  Raises:
    InputError: a missing folder, no files of this kind, or an output that is one of the inputs.
    ConfigError: invalid values; for folders, how many files failed.
  """
  if not errors.is_folder(sources[0]):
    if _is_due(check(output), atomic.identities(sources), resume):
      with runner.refusals():
        for path in sources:  # Before networks are loaded, or even downloaded.
          errors.readable_file(path)
        load()(*sources, output, show=True)
    else:
      print(f'{output}: exists already')
    return
  kinds = kinds[: len(sources)]
  found = pairs.groups(sources, kinds)
  if not found:
    right = f'files ending in {", ".join(end for group in kinds[0].endings[:-1] for end in group)}'
    raise InputError(sources[0], f'contains no {kinds[0].name}', right)
  inputs = atomic.identities(path for folder in sources for path in folder.iterdir())
  work = load()
  create(output, sources)

  def do(path: pathlib.Path, *depths: pathlib.Path) -> bool:
    result = output / f'{path.stem}{ending(path)}'
    is_due = _is_due(check(result), inputs, resume)
    if is_due:
      work(path, *depths, result, show=False)
    return is_due

  _map_groups(do, found, sources, output, kinds)


def _map_groups(
  do: Callable[..., bool],
  found: Sequence[pairs.Group],
  sources: Sequence[pathlib.Path],
  output: pathlib.Path,
  kinds: Sequence[pairs.Kind],
) -> None:
  """Calls `do` with every file of the first folder and its depth maps or masks."""
  kind, *others = kinds
  used = [(pairs.preferred(files, kind), depths) for files, depths in found]
  every = [(path, len(paths), depths) for paths, depths in used for path in paths]
  failed = missing = skipped = 0
  columns = (*progress.Progress.get_default_columns(), progress.MofNCompleteColumn())
  # Lines on stdout move to the bar's console only if both are terminals.
  fields = {'console': console.Console(stderr=True), 'redirect_stdout': sys.stdout.isatty()}
  with progress.Progress(*columns, **fields) as bar:
    for path, count, depths in bar.track(sorted(every), description=f'{kind.name}s'):
      try:
        if count > 1:
          wrong = f'has the same name as another {kind.name}, except for the ending'
          raise InputError(path, wrong, 'one of them')
        missing += not all(depths)
        pair = (pairs.choose(path, *at) for at in zip(depths, sources[1:], others, strict=True))
        skipped += not do(path, *pair)
      except (ValueError, ConfigError) as error:
        failed += 1
        # Only an InputError names the file.
        runner.say(str(error) if isinstance(error, InputError) else f'{path}: {error}')
  if failed:
    partners = ' or '.join(dict.fromkeys(partner.name for partner in others))
    without = f', {missing} of them without a {partners}' if missing else ''
    raise ConfigError(f'{failed} of {len(every)} {kind.name}s failed{without}')
  existed = f', {skipped} of them existed already' if skipped else ''
  print(f'{output}: {len(every)} {kind.name}s{existed}')


def _is_due(results: Sequence[pathlib.Path], inputs: set[tuple[int, int]], resume: bool) -> bool:
  """Refuses results that would replace an input; whether any is missing or all are made again."""
  for path in results:
    atomic.check_not_input(path, inputs)
  return not resume or not all(map(errors.status, results))


def create(output: pathlib.Path, sources: Sequence[pathlib.Path]) -> None:
  """Creates the folder of the results; it must not be an input folder."""
  atomic.check_not_input(output, atomic.identities(sources))
  try:
    output.mkdir(exist_ok=True)
  except OSError as error:
    wrong = f'cannot be created ({error.strerror})'
    raise InputError(output, wrong, 'a name in an existing, writable folder') from error
