"""How the files of a record are found by what they are called: one rule a dataset."""

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from depthjax.files import depth
from depthjax.prepare.entries import Entry, Record, check_found, folder, one_of_a_name, refused

# The files of a record, paths in the source, by the place in its rule.
_Files = dict[int, list[str]]


def matched(
  source: Path,
  rules: Sequence[Sequence[str]],
  load: Callable[..., Record],
  group: Callable[[str], str] = str,
) -> list[Entry]:
  """Entries of the files that fit a rule; one without one of its files is a bad entry.

  A rule is the paths of a record's files, the picture first, such as

      '{scene}/image_left/{name}_left.png', '{scene}/depth_left/{name}_left_depth.npy'

  where a word in braces stands for any text without '/', the same in all paths of a record, and
  further folders may come before. An ending '.*' is any of depth.READABLE.

  Args:
    source: the folder of the dataset.
    rules: those of the dataset; the paths of one have the same words.
    load: gives the record of the files, in the order of the rule.
    group: gives the group of a {scene}; without that word a record is a group of its own.

  Returns:
    The entries by name: the path of the picture in `source`, without its ending.

  Raises:
    InputError: `source` is no folder, or nothing in it fits.
  """
  files = list(_walk(folder(source, '.')))
  entries = [entry for rule in rules for entry in _fitting(source, files, rule, load, group)]
  named = '; or '.join(' with '.join(rule) for rule in rules)
  check_found(source, entries, f'files {named}')
  return sorted(entries, key=lambda entry: entry.name)


def _fitting(
  source: Path, files: Sequence[str], rule: Sequence[str], load, group: Callable[[str], str]
) -> Iterator[Entry]:
  found: dict[tuple[tuple[str, str], ...], _Files] = {}
  for i, pattern in enumerate(rule):
    expression = _expression(pattern)
    for file in files:
      if match := expression.fullmatch(file):
        words = tuple(sorted(match.groupdict(default='').items()))
        found.setdefault(words, {}).setdefault(i, []).append(file)
  for key, parts in found.items():
    words = dict(key)
    paths = [words['before'] + pattern.format_map(words) for pattern in rule]
    name = paths[0].rpartition('.')[0]
    of = group(words['scene']) if 'scene' in words else name
    yield Entry(name, of, _loader(source, paths, parts, load))


def _loader(source: Path, paths: Sequence[str], parts: _Files, load) -> Callable[[], Record]:
  for i, path in enumerate(paths):
    if i not in parts:
      return refused(source / path, 'is missing', f'the partner of {parts[min(parts)][0]}')
    if bad := one_of_a_name([source / file for file in parts[i]]):
      return bad
  return functools.partial(_load, source, load, [parts[i][0] for i in range(len(paths))])


def _load(source: Path, load: Callable[..., Record], files: Sequence[str]) -> Record:
  return load(*(source / file for file in files))


def _expression(pattern: str) -> re.Pattern[str]:
  """A path in `source`, where {word} is any text without '/'."""
  stem, ending = os.path.splitext(pattern)
  endings = depth.READABLE if ending == '.*' else (ending,)
  texts = re.split(r'\{(\w+)\}', stem)  # text, word, text, word, ..., text
  body = ''.join(
    rf'(?P<{text}>[^/]+)' if i % 2 else re.escape(text) for i, text in enumerate(texts)
  )
  return re.compile(rf'(?P<before>(?:.+/)?){body}(?:{"|".join(map(re.escape, endings))})')


def _walk(source: Path) -> Iterator[str]:
  """Paths of all files in `source`; what begins with a dot is no data."""

  def refuse(error: OSError) -> None:
    raise error

  for place, folders, files in os.walk(source, onerror=refuse):
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    before = Path(place).relative_to(source).as_posix()
    before = '' if before == '.' else f'{before}/'
    yield from (before + name for name in sorted(files) if not name.startswith('.'))
