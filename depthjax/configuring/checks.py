"""Checks of a config before anything is built."""

import operator
import re

import ml_collections

from depthjax.configuring.errors import ConfigError
from depthjax.configuring.names import check_names

MINIMUM = {  # Bound -> fields that must be at least as large.
  0: (
    'seed steps ema optimizer.peak optimizer.end optimizer.warmup optimizer.clip optimizer.beta1 '
    'optimizer.beta2 optimizer.weight_decay optimizer.power eval.every eval.examples '
    'eval.batch_size eval.pictures checkpoint.every checkpoint.keep_every parallel.devices '
    'input.workers'
  ),
  1: (
    'batch_size microbatches parallel.fsdp input.threads input.prefetch checkpoint.keep log_every'
  ),
}
_CHOICES = {
  'parallel.mode': ('jit', 'pmap'),
  'optimizer.name': ('adam', 'adamw', 'nadam', 'sgd'),
  'optimizer.schedule': tuple('cosine polynomial exponential staircase onecycle constant'.split()),
}
_BELOW = {'ema': 1, 'optimizer.beta1': 1, 'optimizer.beta2': 1, 'seed': 2**32}
# Fields that are (regex, value) pairs, and the values; numbers of at least 0 where there are none.
_RULES = {
  'optimizer.weight_decay_factors': (),
  'optimizer.learning_rate_factors': (),
  'initialise.rules': ('load', 'fresh'),
  'parallel.layouts': ('fsdp', 'replicated'),
}


def check(config: ml_collections.ConfigDict, *, devices: int = 1, processes: int = 1) -> None:
  """Checks the fields of `defaults()`, for a number of devices over all processes.

  Raises ConfigError: as `check_names`, a field out of range, or fields that contradict each other
  or the devices.
  """
  check_names(config)
  _check_ranges(config)
  _check_rules(config)
  _check_optimizer(config.optimizer)
  devices = _check_parallel(config.parallel, devices, processes)
  batch, parts = config.batch_size, devices * config.microbatches
  if batch % parts:
    product = f'{devices} devices x {config.microbatches} microbatches'
    raise ConfigError(f'batch_size is {batch}; it must be a multiple of {parts} ({product})')


def _check_ranges(config: ml_collections.ConfigDict) -> None:
  for bound, fields in MINIMUM.items():
    for field in fields.split():
      value = operator.attrgetter(field)(config)
      if not value >= bound:
        raise ConfigError(f'{field} is {value}; it must be at least {bound}')
  for field, choices in _CHOICES.items():
    value = operator.attrgetter(field)(config)
    if value not in choices:
      raise ConfigError(f'{field} is {value!r}; it can be {", ".join(choices)}')
  for field, bound in _BELOW.items():
    value = operator.attrgetter(field)(config)
    if value >= bound:
      raise ConfigError(f'{field} is {value}; it must be below {bound}')


def _check_rules(config: ml_collections.ConfigDict) -> None:
  for field, words in _RULES.items():
    right = ' or '.join(map(repr, words)) or 'number of at least 0'
    right = f'it must be pairs (regular expression, {right})'
    rules = operator.attrgetter(field)(config)
    if not rules:
      raise ConfigError(f'{field} is empty; {right}')
    for rule in rules:
      try:
        pattern, value = rule
        re.compile(pattern)
        good = value in words if words else 0 <= value < float('inf')
      except (TypeError, ValueError, re.error):
        good = False
      if not good:
        raise ConfigError(f'{field} has {rule!r}; {right}')


def _check_optimizer(fields: ml_collections.ConfigDict) -> None:
  if fields.name == 'adam' and fields.weight_decay:
    wrong = f'optimizer.weight_decay is {fields.weight_decay}'
    raise ConfigError(f'{wrong}; it must be 0 with adam (adamw has weight decay)')
  if fields.schedule != 'constant' and fields.end > fields.peak:
    wrong = f'optimizer.end is {fields.end}'
    raise ConfigError(f'{wrong}; it must be at most {fields.peak} (optimizer.peak)')
  if fields.schedule == 'onecycle' and not fields.warmup:
    raise ConfigError('optimizer.warmup is 0; it must be at least 1 with onecycle')
  if fields.schedule in ('exponential', 'staircase') and not fields.end > 0:
    raise ConfigError(f'optimizer.end is {fields.end}; it must be above 0 with {fields.schedule}')
  if fields.schedule == 'staircase' and not fields.power >= 1:
    raise ConfigError(f'optimizer.power is {fields.power}; it must be at least 1 with staircase')


def _check_parallel(fields: ml_collections.ConfigDict, devices: int, processes: int) -> int:
  """The number of devices that the run uses."""
  used = fields.devices or devices
  if used > devices or (processes > 1 and used != devices):
    right = f'there are {devices} devices, and 0 uses all of them'
    raise ConfigError(f'parallel.devices is {used}; {right}')
  if fields.mode == 'pmap' and fields.fsdp != 1:
    raise ConfigError(f'parallel.fsdp is {fields.fsdp}; it must be 1 with parallel.mode=pmap')
  if fields.mode == 'pmap' and processes > 1:
    raise ConfigError(f'parallel.mode is pmap; it must be jit with {processes} processes')
  if used % fields.fsdp:
    raise ConfigError(f'parallel.fsdp is {fields.fsdp}; it must divide {used}, the devices used')
  return used
