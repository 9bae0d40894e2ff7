"""Several sources in one: parsing locations with weights, and random choice by weight."""

import bisect
import itertools
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Part(NamedTuple):
  """A location, such as a folder or 'tfds:NAME', and its relative weight."""

  where: str
  weight: float | None


def parse(text: str) -> list[Part]:
  """Parses 'LOCATION' or 'LOCATION=WEIGHT,LOCATION=WEIGHT,...'; '' gives an empty list.

  Weights are relative: 'a=3,b=1' is 'a=0.75,b=0.25'. An '=' without a number after it belongs to
  the location, as does the '=' of a single existing folder such as 'photos/v=2'. A comma always
  separates.

  Raises ValueError: a missing weight, an empty or repeated location, or a weight that is not above
  0.
  """
  parts = [_part(piece.strip()) for piece in text.split(',')]
  if len(parts) == 1 and (parts[0].weight is None or os.path.isdir(os.path.expanduser(text))):
    return [Part(text, 1.0)] if text else []
  form = 'write LOCATION=WEIGHT,LOCATION=WEIGHT'
  for i, (where, weight) in enumerate(parts):
    if not where:
      raise ValueError(f'{text!r} has an empty location; {form}')
    if weight is None:
      raise ValueError(f'{text!r} has no weight for {where!r}; {form}')
    if not (math.isfinite(weight) and weight > 0):
      raise ValueError(f'{text!r} gives {where!r} the weight {weight:g}; it must be above 0')
    if any(where == other.where for other in parts[:i]):
      raise ValueError(f'{text!r} names {where!r} twice; add up its weights')
  return parts


def _part(piece: str) -> Part:
  where, _, number = piece.rpartition('=')
  try:
    return Part(where, float(number))
  except ValueError:
    return Part(piece, None)


class Mixture(Sequence):
  """The items of several non-empty sources, concatenated; `pick` draws a source by its weight."""

  def __init__(self, sources: Sequence[Sequence], weights: Sequence[float]):
    self.sources = tuple(sources)
    self.ends = list(itertools.accumulate(map(len, self.sources)))
    self.cumulative = list(np.cumsum(weights) / np.sum(weights))

  def __len__(self) -> int:
    return self.ends[-1]

  def __getitem__(self, index: int) -> Any:
    index = range(len(self))[index]
    source = bisect.bisect_right(self.ends, index)
    return self.sources[source][index - self.ends[source] + len(self.sources[source])]

  def pick(self, rng: np.random.Generator) -> int:
    """Number of a random item: a source by weight, then one of its items with equal chance."""
    # Rounding can leave the last cumulative weight below the random number.
    source = min(bisect.bisect_right(self.cumulative, rng.random()), len(self.sources) - 1)
    count = len(self.sources[source])
    return self.ends[source] - count + int(rng.integers(count))


def pick(rng: np.random.Generator, source: Sequence) -> int:
  """Number of a random item of a source: with equal chance, or by the weights of a Mixture."""
  return source.pick(rng) if isinstance(source, Mixture) else int(rng.integers(len(source)))
