"""A fingerprint of the files that training records are made of."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from depthjax.data.sources import mixtures, prepared, remote


def fingerprints(fields: Mapping[str, Any]) -> dict[str, str]:
  """For each location in the fields '*_source' of a config's `data`: a hash of its files.

  The hash covers names and sizes, not contents. Locations without files of their own, such as
  'builtin' and 'drawn', are left out.

  Raises ValueError: as mixtures.parse; a dataset that is not prepared here.
  """
  locations = [
    part.where
    for name, text in sorted(fields.items())
    if name.endswith('_source')
    for part in mixtures.parse(text)
  ]
  return {where: _hash(folder) for where in locations if (folder := _folder(where)).is_dir()}


def _folder(where: str) -> Path:
  if where.startswith('tfds:'):
    return prepared.folder(where)
  return remote.cache_folder(where) if remote.is_url(where) else Path(where).expanduser()


def _hash(folder: Path) -> str:
  lines = sorted(f'{os.path.relpath(path, folder)} {size}\n' for path, size in _files(folder))
  return hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]


def _files(folder: str | os.PathLike) -> Iterator[tuple[str, int]]:
  for entry in os.scandir(folder):  # Without a further system call for most files.
    if entry.is_dir():
      yield from _files(entry.path)
    else:
      yield entry.path, entry.stat().st_size
