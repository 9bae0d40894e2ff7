"""Several sources in one: places with weights as a user writes them, and drawing by weight."""

import bisect
import itertools
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Part(NamedTuple):
  """A place, such as a folder or 'tfds:NAME', and its weight among the others."""

  where: str
  weight: float | None


def parse(text: str) -> list[Part]:
  """The places of 'PLACE', or of 'PLACE=WEIGHT,PLACE=WEIGHT,...'; '' has none.

  Weights are relative: 'a=3,b=1' is 'a=0.75,b=0.25'. An '=' that no number follows belongs to
  the place, and so does that of a single folder that exists by that name, such as 'photos/v=2';
  a comma never does.

  Raises:
    ValueError: a place without weight among others, an empty or repeated place, or a weight that
      is not above 0.
  """
  parts = [_part(piece.strip()) for piece in text.split(',')]
  if len(parts) == 1 and (parts[0].weight is None or os.path.isdir(os.path.expanduser(text))):
    return [Part(text, 1.0)] if text else []
  for where, weight in parts:
    if not where:
      raise ValueError(f'{text!r} has an empty place; write PLACE=WEIGHT,PLACE=WEIGHT')
    if weight is None:
      raise ValueError(f'{text!r} has no weight for {where!r}; write PLACE=WEIGHT,PLACE=WEIGHT')
    if not (math.isfinite(weight) and weight > 0):
      raise ValueError(f'{text!r} gives {where!r} the weight {weight:g}; it must be above 0')
  places = [part.where for part in parts]
  twice = next((where for where in places if places.count(where) > 1), None)
  if twice:
    raise ValueError(f'{text!r} names {twice!r} twice; add up its weights')
  return parts


def _part(piece: str) -> Part:
  where, _, number = piece.rpartition('=')
  try:
    return Part(where, float(number))
  except ValueError:
    return Part(piece, None)


class Mixture(Sequence):
  """The items of several sources, one source after another; `pick` draws a source by its weight.

  Args:
    sources: none of them empty.
    weights: positive, one a source.
  """

  def __init__(self, sources: Sequence[Sequence], weights: Sequence[float]):
    self.sources = tuple(sources)
    self.ends = list(itertools.accumulate(map(len, self.sources)))
    self.chances = list(np.cumsum(weights) / np.sum(weights))

  def __len__(self) -> int:
    return self.ends[-1]

  def __getitem__(self, index: int) -> Any:
    index = range(len(self))[index]
    source = bisect.bisect_right(self.ends, index)
    return self.sources[source][index - self.ends[source] + len(self.sources[source])]

  def pick(self, rng: np.random.Generator) -> int:
    """Number of a random item: a source by weight, then one of its items, all alike."""
    # Rounding could leave the last bound a little below the random number.
    source = min(bisect.bisect_right(self.chances, rng.random()), len(self.sources) - 1)
    count = len(self.sources[source])
    return self.ends[source] - count + int(rng.integers(count))


def pick(rng: np.random.Generator, source: Sequence) -> int:
  """Number of a random item of a source: all alike, or by the weights of a Mixture."""
  return source.pick(rng) if isinstance(source, Mixture) else int(rng.integers(len(source)))
