"""`depthjax sweep`: trains the runs of a sweep, or prints their commands."""

import sys

import jax

from depthjax import configuring
from depthjax.commands import runner
from depthjax.commands.sweep import Options
from depthjax.study import grid, groups
from depthjax.train import loop, resume
from depthjax.train import workdir as workdir_lib
from depthjax.train.errors import Terminated


def run(options: Options) -> None:
  """Checks all runs, then trains those that are not finished.

  A run that fails is reported, and the others go on; the exit code is then the largest of theirs.
  """
  workdir = workdir_lib.resolve(options.workdir)
  runs = grid.runs(options.change or [], options.seeds)
  plain = configuring.load(options.config)
  configs = {name: configuring.with_fields(plain, fields) for name, fields in runs.items()}
  for config in configs.values():
    # The commands that --print writes may be for another machine.
    printed = config.parallel.devices or config.parallel.fsdp
    configuring.check(config, devices=printed if options.show else jax.device_count())
  if options.show:
    for name, fields in runs.items():
      print(grid.command(options.config, fields, f'{options.workdir}/{name}'))
    return
  runner.begin_training()
  failed = {}
  for number, (name, config) in enumerate(configs.items(), 1):
    print(f'[{number}/{len(runs)}] {name}', flush=True)
    try:
      if groups.finished(workdir / name, config):
        print(f'finished before: {workdir / name}')
      else:
        loop.train(config, workdir / name, resume.Terms(defaults=plain))
    except Terminated:
      raise
    except Exception as error:
      failed[name] = runner.report(error, f'{name}: ')
  if failed:
    runner.say(f'{len(failed)} of {len(runs)} runs failed: {"; ".join(failed)}')
    sys.exit(max(failed.values()))
  print(f'done: depthjax compare {options.workdir}')
