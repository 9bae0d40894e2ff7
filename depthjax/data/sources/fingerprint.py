"""A fingerprint of the files that training records are made of."""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthjax.data.sources import mixtures, prepared, remote


def fingerprints(fields: Mapping[str, Any]) -> dict[str, str]:
  """For each location in the fields '*_source' of a config's `data`: a hash of its files.

  The hash covers names and sizes, not contents. Other locations, such as 'builtin', are left out.
  """
  found = {}
  for name, text in sorted(fields.items()):
    if name.endswith('_source') and isinstance(text, str):
      with contextlib.suppress(Exception):  # Record kinds of other code have their own syntax.
        folders = {part.where: _folder(part.where) for part in mixtures.parse(text)}
        found |= {where: _hash(folder) for where, folder in folders.items() if folder.is_dir()}
  return found


def _folder(where: str) -> Path:
  if where.startswith('tfds:'):
    return Path(prepared.open_part(where, 'all', ()).records.dataset_info.data_dir)
  return remote.cache_folder(where) if remote.is_url(where) else Path(where).expanduser()


def _hash(folder: Path) -> str:
  files = sorted(path for path in folder.rglob('*') if path.is_file())
  lines = (f'{path.relative_to(folder).as_posix()} {path.stat().st_size}\n' for path in files)
  return hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]
