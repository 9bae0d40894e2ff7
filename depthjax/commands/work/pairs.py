"""Photographs, depth maps and masks of folders that belong together by their names.

Names are compared without their ending and in the Unicode form NFC. The depth map of NAME is called
NAME, NAME_depth, NAME-depth or NAME-0000, as depth programs call it, its mask NAME, NAME_mask or
NAME-mask.
"""

import itertools
import os
import pathlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from depthjax.commands import runner
from depthjax.files import endings, errors
from depthjax.files.errors import InputError

Path = pathlib.Path
_MAP = re.compile(r'(.+?)(?:(?P<named>[-_.]depth(?:[-_]?map)?)|-\d{4})', re.IGNORECASE)
_MASK = re.compile(r'(.+?)[-_.]mask', re.IGNORECASE)
_FLOATS = '.npy', '.npz', '.pfm', '.exr'
_LOSSLESS = '.png', '.tif', '.tiff'
_LOSSY = '.jpg', '.jpeg', '.jfif', '.webp', '.heic', '.heif', '.avif'


class Kind(NamedTuple):
  """A kind of files: its name and its endings."""

  name: str
  endings: Sequence[Collection[str]]  # Of files of one name, those of the first group are used.
  suffix: str = ''  # That of NAME for the photograph NAME, and the pattern of names with it.
  pattern: re.Pattern = re.compile('')


_GREY = '.jpg', '.jpeg'
PHOTOGRAPH = Kind('photograph', (endings.EXTENSIONS, endings.OTHERS))
DEPTH_MAP = Kind('depth map', (_FLOATS, _LOSSLESS, _GREY), '_depth', _MAP)
MASK = Kind('mask', (('.npy',), _LOSSLESS, _GREY), '_mask', _MASK)
# Files of one name, and its partners in each of the other folders.
Group = tuple[list[Path], list[list[Path]]]


def groups(sources: Sequence[Path], kinds: Sequence[Kind]) -> list[Group]:
  """Groups the files of folders of these kinds by the names of those in the first folder.

  In the first folder NAME_depth beside NAME is a depth map and not a photograph, unless it has a
  depth map of its own. If the photographs' folder is also one of depth maps, then so are NAME-0000
  beside NAME, and NAME.png and NAME.tif beside NAME in JPEG or another lossy format. In a folder of
  masks that is also another one, only NAME_mask and NAME-mask are masks.

  Raises InputError: a folder that is missing or cannot be read.
  """
  first, *others = itertools.starmap(_listed, zip(sources, kinds, strict=True))
  shared = [kinds[0] is PHOTOGRAPH and folder.samefile(sources[0]) for folder in sources[1:]]
  if kinds[0] is PHOTOGRAPH:
    inside = any(same and kind is DEPTH_MAP for same, kind in zip(shared, kinds[1:], strict=True))
    own = set() if inside or not others else set(map(stem, others[0]))
    known = {stem(path): set() for path in first}
    for path in first:
      known[stem(path)].add(path.suffix.lower())
    first = [path for path in first if not _is_map(path, known, own, inside)]
    if MASK in kinds:
      first = [path for path in first if _photograph_of(path, MASK) not in known]
  photos, result = {path.name for path in first}, {}
  for path in first:
    result.setdefault(stem(path), ([], [[] for _ in others]))[0].append(path)
  plain = [folder for folder, kind in zip(sources, kinds, strict=True) if kind is not MASK]
  for k, (paths, folder, kind) in enumerate(zip(others, sources[1:], kinds[1:], strict=True)):
    mixed = kind is MASK and any(map(folder.samefile, plain))
    for path in paths:
      named = None if stem(path) in result else _photograph_of(path, kind)
      name = named if named or mixed else stem(path)
      if name in result and not (shared[k] and path.name in photos):
        result[name][1][k].append(path)
  return list(result.values())


def _photograph_of(path: Path, kind: Kind) -> str | None:
  """NAME of a depth map or mask that is called NAME_depth, NAME_mask or the like, else None."""
  match = kind.pattern.fullmatch(stem(path))
  return match and match[1]


def choose(photo: Path, candidates: Sequence[Path], folder: Path, kind: Kind) -> Path:
  """The depth map or mask of a photograph; of two of one name, that of the first endings.

  Raises InputError: none or several.
  """
  if len(set(map(stem, candidates))) == 1:
    candidates = preferred(candidates, kind)
  if len(candidates) > 1:
    names = ' and '.join(path.name for path in candidates)
    raise InputError(photo, f'has several {kind.name}s ({names})', f'one of them in {folder}')
  if not candidates:
    right = f'{folder / photo.stem} ending in {", ".join(itertools.chain(*kind.endings))}'
    raise InputError(photo, f'has no {kind.name}', f'{right}, or {photo.stem}{kind.suffix}')
  return candidates[0]


def preferred(paths: Sequence[Path], kind: Kind) -> Sequence[Path]:
  """Of files of one name, those that are used, such as a.jpg without a.NEF; says which are not."""
  groups_of = ([x for x in paths if x.suffix.lower() in group] for group in kind.endings)
  used = next(filter(None, groups_of), [])
  for path in paths:
    if path not in used:
      runner.say(f'{path}: is not used; {used[0].name} has the same name')
  return used


def stem(path: Path) -> str:
  """The name without its ending; systems store the same name composed or decomposed."""
  return unicodedata.normalize('NFC', path.stem)


def _listed(folder: Path, kind: Kind) -> list[Path]:
  """The files of a kind in a folder, without hidden ones; also broken links, to be reported."""
  if not errors.is_folder(folder):
    wrong = 'is not a folder' if errors.status(folder) else 'does not exist'
    raise InputError(folder, wrong, 'a folder, like the first input')
  known = set().union(*kind.endings)
  try:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in known)
  except OSError as error:
    wrong = f'cannot be read ({error.strerror})'
    raise InputError(folder, wrong, 'a folder with read permission') from error
  return [path for path in paths if path.name[0] != '.' and not os.path.isdir(path)]


def _is_map(path: Path, endings_of: Mapping[str, set[str]], own: set[str], shared: bool) -> bool:
  """Whether this is a depth map among photographs; `own`: names with a depth map of their own."""
  name, match = stem(path), _MAP.fullmatch(stem(path))
  in_shared = shared and path.suffix.lower() in _LOSSLESS
  if match and match[1] in endings_of:
    return name not in own if match['named'] else in_shared
  return in_shared and not endings_of[name].isdisjoint(_LOSSY)
