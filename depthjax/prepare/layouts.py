"""Finds the files of a dataset's records by patterns of their paths."""

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from depthjax.files import depth
from depthjax.prepare import maps
from depthjax.prepare.entries import Entry, Found, Record, ambiguous, folder, found, refused

# Files of a record, as paths in the source, by the number of their pattern.
_Files = dict[int, list[str]]


def matched(
  source: Path,
  rules: Sequence[Sequence[str]],
  load: Callable[..., Record],
  group: Callable[[str], str] = str,
  fields: tuple[str, ...] = maps.FIELDS,
) -> Found:
  """Entries of the files that match a rule; one that lacks a file is a bad entry.

  A rule has one pattern for each file of a record, the image first, such as

      '{scene}/image_left/{name}_left.png', '{scene}/depth_left/{name}_left_depth.npy'

  A name in braces matches any text without '/', the same in all files of a record. A pattern
  matches in any subfolder. The extension '.*' matches those in depth.READABLE.

  Args:
    source: the folder of the dataset.
    rules: the patterns of one rule have the same names in braces.
    load: returns the record of the files, in the order of the rule.
    group: returns the group of a {scene}; without {scene} each record is its own group.
    fields: of the records.

  Returns the entries by name: the path of the image in `source` without extension.

  Raises InputError: `source` is not a folder, or no file in it matches.
  """
  files = list(_walk(folder(source, '.')))
  entries = [entry for rule in rules for entry in _matching(source, files, rule, load, group)]
  expected = '; or '.join(' with '.join(rule) for rule in rules)
  entries.sort(key=lambda entry: entry.name)
  return found(source, fields, entries, f'files {expected}')


def _matching(
  source: Path, files: Sequence[str], rule: Sequence[str], load, group: Callable[[str], str]
) -> Iterator[Entry]:
  records: dict[tuple[tuple[str, str], ...], _Files] = {}
  for i, pattern in enumerate(rule):
    expression = _expression(pattern)
    for file in files:
      if match := expression.fullmatch(file):
        words = tuple(sorted(match.groupdict(default='').items()))
        records.setdefault(words, {}).setdefault(i, []).append(file)
  for key, parts in records.items():
    words = dict(key)
    paths = [words['before'] + pattern.format_map(words) for pattern in rule]
    name = paths[0].rpartition('.')[0]
    group_name = group(words['scene']) if 'scene' in words else name
    yield Entry(name, group_name, _loader(source, paths, parts, load))


def _loader(source: Path, paths: Sequence[str], parts: _Files, load) -> Callable[[], Record]:
  for i, path in enumerate(paths):
    if i not in parts:
      return refused(source / path, 'is missing', f'the partner of {parts[min(parts)][0]}')
    if bad := ambiguous([source / file for file in parts[i]]):
      return bad
  return functools.partial(load, *(source / parts[i][0] for i in range(len(paths))))


def _expression(pattern: str) -> re.Pattern[str]:
  stem, extension = os.path.splitext(pattern)
  extensions = depth.READABLE if extension == '.*' else (extension,)
  texts = re.split(r'\{(\w+)\}', stem)  # text, name, text, name, ..., text
  body = ''.join(
    rf'(?P<{text}>[^/]+)' if i % 2 else re.escape(text) for i, text in enumerate(texts)
  )
  return re.compile(rf'(?P<before>(?:.+/)?){body}(?:{"|".join(map(re.escape, extensions))})')


def _walk(source: Path) -> Iterator[str]:
  """Paths in `source` of all files that are not hidden."""

  def refuse(error: OSError) -> None:
    raise error

  for path, folders, files in os.walk(source, onerror=refuse):
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    before = Path(path).relative_to(source)
    yield from ((before / name).as_posix() for name in sorted(files) if not name.startswith('.'))
