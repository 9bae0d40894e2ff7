"""What no run can have is refused before anything is built."""

from typing import Any

import ml_collections

from depthjax.configuring.errors import ConfigError


def check(config: ml_collections.ConfigDict, *, devices: int = 1, processes: int = 1) -> None:
  """Refuses what cannot run, before anything is built.

  Raises:
    ConfigError: naming the field, its value and what would be right.
  """
  for field in ('batch_size', 'microbatches', 'parallel.fsdp', 'eval.examples'):
    _at_least(config, field, 1)
  for field in ('input.threads', 'input.prefetch', 'checkpoint.keep', 'log_every'):
    _at_least(config, field, 1)
  for field in ('steps', 'optimizer.warmup', 'optimizer.clip', 'optimizer.weight_decay'):
    _at_least(config, field, 0)
  _at_least(config, 'optimizer.power', 0)
  for field in ('eval.every', 'eval.pictures', 'checkpoint.every', 'checkpoint.keep_every'):
    _at_least(config, field, 0)
  for field in ('parallel.devices', 'input.workers'):
    _at_least(config, field, 0)
  if not config.task:
    raise ConfigError("task is ''; name a module of depthjax.tasks")
  if not 0 <= config.ema < 1:
    raise ConfigError(f'ema is {config.ema}; a decay in [0, 1)')
  _check_optimizer(config.optimizer)
  devices = _check_parallel(config, devices, processes)
  parts = devices * config.microbatches
  _divides(config, 'batch_size', parts, f'{devices} devices x {config.microbatches} microbatches')
  _divides(config, 'eval.examples', config.batch_size, 'batch_size')


def _check_optimizer(config: ml_collections.ConfigDict) -> None:
  known = {
    'name': ('adam', 'adamw', 'nadam', 'sgd'),
    'schedule': ('cosine', 'polynomial', 'exponential', 'onecycle', 'constant'),
  }
  for field, values in known.items():
    if config[field] not in values:
      raise ConfigError(f'optimizer.{field} is {config[field]!r}; it can be {", ".join(values)}')
  if config.name == 'adam' and config.weight_decay:
    raise ConfigError(f'optimizer.weight_decay is {config.weight_decay}; adam has none, adamw does')
  if config.schedule == 'onecycle' and not config.warmup:
    raise ConfigError('optimizer.warmup is 0; onecycle rises for at least one step')
  if config.schedule == 'exponential' and not config.end > 0:
    raise ConfigError(f'optimizer.end is {config.end}; exponential decay ends above 0')


def _check_parallel(config: ml_collections.ConfigDict, devices: int, processes: int) -> int:
  """The number of devices that the run uses, of those that there are."""
  used = config.parallel.devices or devices
  if used > devices or (processes > 1 and used != devices):
    raise ConfigError(f'parallel.devices is {used}; there are {devices} (0 takes all)')
  if config.parallel.mode not in ('jit', 'pmap'):
    raise ConfigError(f'parallel.mode is {config.parallel.mode!r}; jit or pmap')
  if config.parallel.mode == 'pmap' and config.parallel.fsdp != 1:
    raise ConfigError('parallel.fsdp splits parameters under jit only; with pmap it is 1')
  if config.parallel.mode == 'pmap' and processes > 1:
    raise ConfigError('parallel.mode=pmap is for one process; several need jit')
  if used % config.parallel.fsdp:
    raise ConfigError(f'parallel.fsdp is {config.parallel.fsdp}; it must divide {used} devices')
  return used


def _at_least(config: ml_collections.ConfigDict, field: str, bound: int) -> None:
  value = _get(config, field)
  if not value >= bound:
    raise ConfigError(f'{field} is {value}; it must be at least {bound}')


def _divides(config: ml_collections.ConfigDict, field: str, divisor: int, what: str) -> None:
  value = _get(config, field)
  if value % divisor:
    raise ConfigError(f'{field} is {value}; it must be a multiple of {divisor} ({what})')


def _get(config: ml_collections.ConfigDict, field: str) -> Any:
  for name in field.split('.'):
    config = config[name]
  return config
