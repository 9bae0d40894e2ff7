"""Dataclass fields that state their default and their bounds in one line."""

import dataclasses
import numbers
from typing import Any


def bounded(default: float, low: float, high: float) -> Any:
  """A dataclass field in [low, high]; integer bounds ask for an integer."""
  return dataclasses.field(default=default, metadata={'bounds': (low, high)})


def fraction(default: float) -> Any:
  """A dataclass field in [0, 1]."""
  return bounded(default, 0.0, 1.0)


def check_fields(config: Any) -> None:
  """Checks every bounded field of a dataclass, as `check`."""
  for field in dataclasses.fields(config):
    if 'bounds' in field.metadata:
      check(field.name, getattr(config, field.name), *field.metadata['bounds'])


def check(name: str, value: object, low: float, high: float) -> None:
  """Raises ValueError unless a value is in [low, high], and an integer if the bounds are."""
  integer = isinstance(low, int)
  kind, text = (numbers.Integral, 'an integer') if integer else (numbers.Real, 'a number')
  if not isinstance(value, kind) or not low <= value <= high:
    raise ValueError(f'{name} is {value!r}; it must be {text} in [{low}, {high}]')
