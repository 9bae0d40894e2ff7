"""`depthjax sweep`: trains the runs of a sweep, or prints their commands."""

import jax

from depthjax import configuring
from depthjax.commands import runner
from depthjax.commands.sweep import Options
from depthjax.configuring import ConfigError
from depthjax.files.errors import InputError
from depthjax.study import grid, groups
from depthjax.train import loop, resume
from depthjax.train import workdir as workdir_lib
from depthjax.train.errors import NotFinite


def run(options: Options) -> None:
  """Checks all runs, then trains those that are not finished.

  Raises ConfigError or NotFinite at the end: some runs were refused, or diverged.
  """
  runs = grid.runs(options.change or [], options.seeds)
  plain = configuring.load(options.config)
  configs = {name: configuring.with_fields(plain, fields) for name, fields in runs.items()}
  for config in configs.values():
    # The commands that --print writes may be for another machine.
    printed = config.parallel.devices or config.parallel.fsdp
    configuring.check(config, devices=printed if options.show else jax.device_count())
  if options.show:
    for name, fields in runs.items():
      print(grid.command(options.config, fields, options.workdir / name))
    return
  workdir = workdir_lib.resolve(options.workdir)
  runner.hush()
  failed = {}
  for number, (name, config) in enumerate(configs.items(), 1):
    print(f'[{number}/{len(runs)}] {name}', flush=True)
    try:
      if groups.finished(workdir / name, config):
        print(f'finished before: {workdir / name}')
      else:
        loop.train(config, workdir / name, resume.Terms(defaults=plain))
    except (ConfigError, InputError, NotFinite) as error:
      runner.say(f'{name}: {error}')
      failed[name] = error
  if failed:
    refused = any(not isinstance(error, NotFinite) for error in failed.values())
    message = f'{len(failed)} of {len(runs)} runs failed: {"; ".join(failed)}'
    raise (ConfigError if refused else NotFinite)(message)
  print(f'done: depthjax compare {options.workdir}')
