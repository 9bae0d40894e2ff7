"""Photographs and depth maps of folders that belong together by their names.

Names are compared without their ending and in the Unicode form NFC. The depth map of NAME is called
NAME, NAME_depth, NAME-depth or NAME-0000, as depth programs call it.
"""

import itertools
import os
import pathlib
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from depthjax.commands import runner
from depthjax.files import depth, endings, errors
from depthjax.files.errors import InputError

Path = pathlib.Path
_MAP = re.compile(r'(.+?)(?:(?P<named>[-_.]depth(?:[-_]?map)?)|-\d{4})', re.IGNORECASE)
_FLOATS = '.npy', '.npz', '.pfm', '.exr'
_LOSSLESS = '.png', '.tif', '.tiff'
_LOSSY = '.jpg', '.jpeg', '.jfif', '.webp', '.heic', '.heif', '.avif'


class Kind(NamedTuple):
  """A kind of files: its name and its endings."""

  name: str
  extensions: Sequence[str]
  others: Sequence[str]  # Endings of files that are not used beside one of the same name.


PHOTOGRAPH = Kind('photograph', endings.EXTENSIONS, endings.OTHERS)
DEPTH_MAP = Kind('depth map', _FLOATS, [end for end in depth.READABLE if end not in _FLOATS])


class Group(NamedTuple):
  """Files of one name: of the first folder, and the depth maps in each of the others."""

  files: list[Path]
  depths: list[list[Path]]


def groups(sources: Sequence[Path], kind: Kind) -> dict[str, Group]:
  """Groups the files of folders by name: a folder of this kind, then folders of depth maps.

  In the first folder NAME_depth beside NAME is a depth map and not a photograph, unless it has a
  depth map of its own. If the photographs' folder is also one of depth maps, then so are NAME-0000
  beside NAME, and NAME.png and NAME.tif beside NAME in JPEG or another lossy format.

  Raises InputError: a folder that is missing or cannot be read.
  """
  first, *others = [_listed(folder) for folder in sources]
  first = [path for path in first if _is_of(path, kind)]
  others = [[path for path in paths if _is_of(path, DEPTH_MAP)] for paths in others]
  if kind is PHOTOGRAPH:
    shared = [folder.samefile(sources[0]) for folder in sources[1:]]
    exact = [set(map(stem, paths)) for paths in others]
    maps = _maps_among(first, [] if any(shared) else exact, any(shared))
    first = [path for path in first if path not in maps]
    photos = {path.name for path in first}
    for paths in itertools.compress(others, shared):
      paths[:] = [path for path in paths if path.name not in photos]
  result = {}
  for path in first:
    result.setdefault(stem(path), Group([], [[] for _ in others])).files.append(path)
  for k, paths in enumerate(others):
    for path in paths:
      name = stem(path)
      owner = name if name in result else _owner(name)
      if owner in result:
        result[owner].depths[k].append(path)
  return result


def choose(photo: Path, candidates: Sequence[Path], folder: Path) -> Path:
  """The depth map of a photograph; of two of one name, the one in a format of floats.

  Raises InputError: none or several.
  """
  if len(set(map(stem, candidates))) == 1:
    candidates = preferred(candidates, DEPTH_MAP)
  if len(candidates) > 1:
    names = ' and '.join(path.name for path in candidates)
    raise InputError(photo, f'has several depth maps ({names})', f'one of them in {folder}')
  if not candidates:
    right = f'{folder / photo.stem} ending in {", ".join(depth.READABLE)}'
    raise InputError(photo, 'has no depth map', f'{right}, or {photo.stem}_depth')
  return candidates[0]


def stem(path: Path) -> str:
  """The name without its ending; systems store the same name composed or decomposed."""
  return unicodedata.normalize('NFC', path.stem)


def preferred(paths: Sequence[Path], kind: Kind) -> Sequence[Path]:
  """Of files of one name, those that are used, such as a.jpg without a.NEF; says which are not."""
  used = [path for path in paths if path.suffix.lower() in kind.extensions]
  if not used:
    return paths
  for path in paths:
    if path not in used:
      runner.say(f'{path}: is not used; {used[0].name} has the same name')
  return used


def _owner(name: str) -> str | None:
  match = _MAP.fullmatch(name)
  return match and match[1]


def _is_of(path: Path, kind: Kind) -> bool:
  return path.suffix.lower() in (*kind.extensions, *kind.others)


def _listed(folder: Path) -> list[Path]:
  """Everything in a folder except hidden files and folders; broken links too, to be reported."""
  if not errors.is_folder(folder):
    wrong = 'is not a folder' if errors.status(folder) else 'does not exist'
    raise InputError(folder, wrong, 'a folder, like the first input')
  try:
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith('.'))
  except OSError as error:
    wrong = f'cannot be read ({error.strerror})'
    raise InputError(folder, wrong, 'a folder with read permission') from error
  return [path for path in paths if not os.path.isdir(path)]


def _maps_among(photos: Sequence[Path], exact: Sequence[set[str]], is_shared: bool) -> set[Path]:
  """Files that look like photographs but are depth maps; `exact`: names of maps by folder."""
  by_name = {}
  for path in photos:
    by_name.setdefault(stem(path), set()).add(path.suffix.lower())
  result = set()
  for path in photos:
    name, ending = stem(path), path.suffix.lower()
    match = _MAP.fullmatch(name)
    if match and match[1] in by_name:
      has_own = exact and all(name in names for names in exact)
      is_map = not has_own if match['named'] else is_shared and ending in _LOSSLESS
    else:
      is_map = is_shared and ending in _LOSSLESS and not by_name[name].isdisjoint(_LOSSY)
    if is_map:
      result.add(path)
  return result
