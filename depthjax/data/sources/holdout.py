"""Which names train and which are held out: one rule for folders and for prepared datasets."""

import hashlib
from collections.abc import Sequence

HELD_OUT = {'val': (0.0, 0.05), 'test': (0.05, 0.1)}  # of all names, by a hash of the name


def members(names: Sequence[str], split: str, where: str = 'source') -> list[int]:
  """Numbers of the names that are in a split: by `split_of`, and none is empty.

  Where no name falls into a held-out split, the training name of the lowest hash is moved there,
  so that a folder of a few photos can be trained on and evaluated too.

  Raises:
    ValueError: fewer than one name for each of the three splits.
  """
  if split == 'all':
    return list(range(len(names)))
  if len(names) <= len(HELD_OUT):
    raise ValueError(
      f'{where}: {len(names)} image(s) cannot be split; at least {len(HELD_OUT) + 1} are needed '
      'to train, validate and test on different ones'
    )
  places = [split_of(name) for name in names]
  for held_out in HELD_OUT:
    if held_out not in places:
      rest = [i for i, place in enumerate(places) if place == 'train'] or range(len(names))
      places[min(rest, key=lambda i: _hash(names[i]))] = held_out
  return [i for i, place in enumerate(places) if place == split]


def split_of(name: str) -> str:
  """The split of a name: a hash of it, the same on every machine and in every run."""
  place = _hash(name)
  return next((split for split, (low, high) in HELD_OUT.items() if low <= place < high), 'train')


def _hash(name: str) -> float:
  """In [0, 1)."""
  digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
  return int.from_bytes(digest, 'big') / 2**64
