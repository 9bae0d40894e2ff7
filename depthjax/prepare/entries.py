"""Records that a reader finds: named entries, loaded on demand, and pairs of files by name."""

import functools
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from depthjax.files import images
from depthjax.files.errors import InputError

Record = dict[str, Any]


class Entry(NamedTuple):
  """A record that is not loaded yet."""

  name: str  # Unique in the dataset.
  group: str  # All entries of a group, such as views of one scene, are in the same split.
  load: Callable[[], Record]  # Raises InputError if the record is bad.


class Found(NamedTuple):
  """The fields of every record (names of writing.FEATURES), and the entries by name."""

  fields: tuple[str, ...]
  entries: list[Entry]


def found(source: Path, fields: tuple[str, ...], entries: list[Entry], expected: str) -> Found:
  """The result of a reader; raises InputError with `expected` if there are no entries."""
  if not entries:
    raise InputError(source, 'holds no record', expected)
  return Found(fields, entries)


def folder(source: Path, *choices: str) -> Path:
  """The first of the subfolders of `source` that exists.

  Raises InputError: `source` is not a folder, or has none of them.
  """
  if not source.is_dir():
    wrong = 'is not a folder' if source.exists() else 'does not exist'
    raise InputError(source, wrong, 'the folder of the downloaded dataset')
  existing = next((source / choice for choice in choices if (source / choice).is_dir()), None)
  if existing is None:
    names = ' or '.join(f'{choice}/' for choice in choices)
    raise InputError(source, f'has no folder {names}', 'the dataset as it is distributed')
  return existing


def listed(path: Path, extensions: Collection[str] = images.EXTENSIONS) -> list[Path]:
  """The files of a folder with one of the extensions, by name, without hidden files."""
  return sorted(
    file
    for file in path.iterdir()
    if file.suffix.lower() in extensions and not file.name.startswith('.') and file.is_file()
  )


def by_stem(files: Sequence[Path]) -> dict[str, list[Path]]:
  """Files by their name without extension."""
  stems: dict[str, list[Path]] = {}
  for file in files:
    stems.setdefault(file.stem, []).append(file)
  return stems


def paired(
  firsts: Sequence[Path], seconds: Sequence[Path], load: Callable[[Path, Path], Record]
) -> list[Entry]:
  """Entries of the files with the same stem, by name; a file without partner is a bad entry."""
  first, second = by_stem(firsts), by_stem(seconds)
  return [
    Entry(stem, stem, _loader(first.get(stem, []), second.get(stem, []), load))
    for stem in sorted(first.keys() | second.keys())
  ]


def _loader(
  first: list[Path], second: list[Path], load: Callable[[Path, Path], Record]
) -> Callable[[], Record]:
  for files in (first, second):
    if bad := ambiguous(files):
      return bad
  if not (first and second):
    return refused((first or second)[0], 'has no partner of the same name', 'a pair')
  return functools.partial(load, first[0], second[0])


def ambiguous(files: Sequence[Path]) -> Callable[[], NoReturn] | None:
  """A loader that reports several files of one name, or None if there is at most one."""
  if len(files) < 2:
    return None
  names = ' and '.join(file.name for file in files)
  return refused(files[0], f'is ambiguous: {names} have the same name', 'one file of this name')


def refused(path: Path, wrong: str, right: str) -> Callable[[], NoReturn]:
  """A loader that raises this InputError."""

  def load() -> NoReturn:
    raise InputError(path, wrong, right)

  return load
