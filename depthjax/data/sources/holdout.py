"""Train, val and test splits by a hash of the name, for folders and for prepared datasets."""

import hashlib
from collections.abc import Sequence

from depthjax.files.errors import InputError

HELD_OUT = {'val': (0.0, 0.05), 'test': (0.05, 0.1)}  # Ranges of the hash of a name, in [0, 1).


def members(names: Sequence[str], split: str, where: str = 'source') -> list[int]:
  """Numbers of the names in a split ('train', 'val', 'test' or 'all'), by `split_of`.

  If a held-out split would be empty, the training name with the smallest hash is moved to it, so
  that a folder with few photos can be used for training and evaluation.

  Raises ValueError: fewer than 3 names, so that a split would be empty.
  """
  if split == 'all':
    return list(range(len(names)))
  if len(names) <= len(HELD_OUT):
    right = f'at least {len(HELD_OUT) + 1} for the splits train, val and test'
    raise InputError(where, f'has {len(names)} item(s)', right)
  splits = [split_of(name) for name in names]
  for held_out in HELD_OUT:
    if held_out not in splits:
      rest = [i for i, found in enumerate(splits) if found == 'train'] or range(len(names))
      splits[min(rest, key=lambda i: _hash(names[i]))] = held_out
  return [i for i, found in enumerate(splits) if found == split]


def split_of(name: str) -> str:
  """The split of a name: a hash of it, the same on every machine and in every run."""
  value = _hash(name)
  return next((split for split, (low, high) in HELD_OUT.items() if low <= value < high), 'train')


def _hash(name: str) -> float:
  """In [0, 1)."""
  digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
  return int.from_bytes(digest, 'big') / 2**64
