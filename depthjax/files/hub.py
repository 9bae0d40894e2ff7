"""Weights from the Hugging Face Hub, in the cache of its package huggingface_hub."""

import hashlib
import os
import pathlib
import re
from typing import Any

from depthjax.files import errors
from depthjax.files.errors import InputError

_FILE = 'model.safetensors'
_TRIES = 3
_TIMEOUT = 10  # Seconds until the Hub must answer.


def fetch(repository: str, revision: str, sha256: str, size: int = 0) -> pathlib.Path:
  """Returns model.safetensors of a repository, downloaded if it is not in the cache.

  Args:
    repository: such as 'Intel/dpt-large'.
    revision: the commit.
    sha256: of the file; '' is what the Hub declares, which is not pinned: the file in the cache has
      it as its name.
    size: about, in bytes; for messages. 0 is unknown.

  Raises InputError: huggingface_hub is missing; the file in the cache cannot be read, or it or that
  on the Hub has another hash; no network, the Hub refuses, or the download fails.
  """
  path = cached(repository, revision)
  if path is None:
    return _download(repository, revision, sha256, size)
  # The cache has a link here to the file; if only the link is deleted, it is made again.
  file = path.resolve()
  right, found = sha256 or _declared(file.name), _hash(file)
  if right in ('', found):
    return path
  wrong = f'is damaged: its SHA-256 is {found}'
  raise InputError(file, wrong, f'{right}; delete this file, and it is downloaded again')


def cached(repository: str, revision: str) -> pathlib.Path | None:
  """Returns the file of `fetch` if it is in the cache, without the network and without its hash.

  Raises InputError: huggingface_hub is missing.
  """
  found = _package(repository).try_to_load_from_cache(repository, _FILE, revision=revision)
  return pathlib.Path(found) if isinstance(found, str) else None


def _package(repository: str) -> Any:
  with errors.optional(repository, 'huggingface_hub', 'hub'):
    import huggingface_hub
  return huggingface_hub


def _download(repository: str, revision: str, sha256: str, size: int) -> pathlib.Path:
  package = _package(repository)
  megabytes = f'{size / 1e6:.0f} MB, ' if size else ''
  page = f'{megabytes}https://huggingface.co/{repository}/tree/{revision}'
  by_hand = f'a folder, in place of the name, with its config.json and {_FILE} ({page})'
  declared = _declared(_ask(package, repository, revision, by_hand))
  right = sha256 or declared
  if declared not in ('', right):
    wrong = f'has another {_FILE} at {revision}, with SHA-256 {declared}'
    raise InputError(repository, wrong, right)
  for _ in range(_TRIES):
    try:
      path = pathlib.Path(package.hf_hub_download(repository, _FILE, revision=revision))
    except Exception as error:  # Of several HTTP packages, by the version of huggingface_hub.
      reason = error
      continue
    if right in ('', _hash(path)):
      return path
    reason = f'its SHA-256 is not {right}'
    path.resolve().unlink()
  raise InputError(repository, f'cannot be downloaded in {_TRIES} tries ({reason})', by_hand)


def _ask(package: Any, repository: str, revision: str, by_hand: str) -> str:
  """Returns the file's ETag, or raises InputError; `hf_hub_download` tries for 23 s if offline."""
  missing = 'is not in the cache and there is no network'
  if os.environ.get('DEPTHJAX_OFFLINE', '0') not in ('', '0') or package.constants.HF_HUB_OFFLINE:
    raise InputError(repository, f'{missing} (DEPTHJAX_OFFLINE or HF_HUB_OFFLINE is set)', by_hand)
  url = package.hf_hub_url(repository, _FILE, revision=revision)
  try:
    return package.get_hf_file_metadata(url, timeout=_TIMEOUT).etag or ''
  except Exception as error:  # As above.
    response = getattr(error, 'response', None)
    wrong = f'{missing} ({error})'
    if response is not None:
      wrong = f'cannot be downloaded (HTTP status {response.status_code})'
    raise InputError(repository, wrong, by_hand) from error


def _declared(etag: str) -> str:
  """The SHA-256 that the Hub declares: the ETag of a large file, also its name in the cache."""
  return etag if re.fullmatch('[0-9a-f]{64}', etag) else ''


def _hash(path: pathlib.Path) -> str:
  try:
    with path.open('rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError as error:
    wrong = f'cannot be read ({error.strerror})'
    raise InputError(path, wrong, 'a file on a sound disk, with read permission') from error
