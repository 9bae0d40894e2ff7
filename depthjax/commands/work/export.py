"""`depthjax export`: writes a network with its weights as a program."""

from depthjax.commands import runner
from depthjax.commands.export import Options
from depthjax.pipelines import networks


def run(options: Options) -> None:
  """Exports one network."""
  with runner.refusals():
    network = networks.export(options.network, options.shape(), options.output)
  size = options.output.stat().st_size / 1e6
  print(f'{options.output}: {network.name}, {", ".join(network.inputs)}; {size:.1f} MB')
