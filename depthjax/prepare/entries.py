"""What a reader finds: named entries that decode on demand, and how they are paired by name."""

import functools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from depthjax.files import images
from depthjax.files.errors import InputError

Record = dict[str, Any]


class Entry(NamedTuple):
  """A record before it is read.

  Attributes:
    name: unique in the dataset.
    group: entries of one group (views of one scene) are held out together or not at all.
    load: gives the record, or raises InputError where it is bad.
  """

  name: str
  group: str
  load: Callable[[], Record]


class Found(NamedTuple):
  """The fields that every record has (names of writing.FEATURES), and the entries by name."""

  fields: tuple[str, ...]
  entries: list[Entry]


def folder(source: Path, *choices: str) -> Path:
  """The first of the folders that there is in `source`.

  Raises:
    InputError: `source` is no folder, or has none of them.
  """
  if not source.is_dir():
    wrong = 'is not a folder' if source.exists() else 'does not exist'
    raise InputError(source, wrong, 'the folder of the downloaded dataset')
  found = next((source / choice for choice in choices if (source / choice).is_dir()), None)
  if found is None:
    listed = ' or '.join(f'{choice}/' for choice in choices)
    raise InputError(source, f'has no folder {listed}', 'the dataset as it is distributed')
  return found


def listed(place: Path, extensions: Collection[str] = images.EXTENSIONS) -> list[Path]:
  """The files of a folder with one of the endings, by name; what begins with a dot is no data."""
  return sorted(
    file
    for file in place.iterdir()
    if file.suffix.lower() in extensions and not file.name.startswith('.') and file.is_file()
  )


def paired(
  firsts: Sequence[Path], seconds: Sequence[Path], load: Callable[[Path, Path], Record]
) -> list[Entry]:
  """Entries of the files that share a stem, by name; one without partner is a bad entry."""
  sides = [by_stem(firsts), by_stem(seconds)]
  return [
    Entry(stem, stem, _loader([files.get(stem, []) for files in sides], load))
    for stem in sorted(sides[0].keys() | sides[1].keys())
  ]


def one_of_a_name(files: Sequence[Path]) -> Callable[[], NoReturn] | None:
  """The `load` of a bad entry where several files share a name, else None."""
  if len(files) < 2:
    return None
  names = ' and '.join(file.name for file in files)
  return refused(files[0], f'is ambiguous: {names} share a name', 'one file of a name')


def refused(path: Path, wrong: str, right: str) -> Callable[[], NoReturn]:
  """The `load` of an entry that is known to be bad before it is read."""
  return functools.partial(_refuse, InputError(path, wrong, right))


def check_found(source: Path, entries: Sequence[Entry], what: str) -> None:
  """Refuses a dataset of no records.

  Raises:
    InputError: there is no entry.
  """
  if not entries:
    raise InputError(source, 'holds no record', what)


def by_stem(files: Sequence[Path]) -> dict[str, list[Path]]:
  """Files by their name without ending; two of a name are one too many."""
  found: dict[str, list[Path]] = {}
  for file in files:
    found.setdefault(file.stem, []).append(file)
  return found


def _loader(
  files: list[list[Path]], load: Callable[[Path, Path], Record]
) -> Callable[[], Record] | Callable[[], NoReturn]:
  for same, others in (files, files[::-1]):
    if bad := one_of_a_name(same):
      return bad
    if not others:
      return refused(same[0], 'has no partner of the same name', 'a pair')
  return functools.partial(load, files[0][0], files[1][0])


def _refuse(error: InputError) -> NoReturn:
  raise error
