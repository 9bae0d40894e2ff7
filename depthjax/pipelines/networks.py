"""Networks as functions for other programs: jitted, batched and pure; and as files."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from depthjax.files import atomic, weights
from depthjax.files.errors import Error, InputError
from depthjax.models import layered
from depthjax.models.deeplens.lensblur import LensBlur
from depthjax.models.predictors import predictor as predictors
from depthjax.models.refinement import refiners
from depthjax.pipelines import predictors as predictors_lib
from depthjax.pipelines.mask_refine import learned as mask_learned
from depthjax.pipelines.refine import refine
from depthjax.pipelines.refocus import learned

EXTENSIONS = ('.stablehlo', '.jax_exported')
# Bytes of weights: FlatBuffers, the format of the file, ends at 2 GiB; tried up to 1.4 GB.
_LARGEST = 1_500_000_000


@dataclasses.dataclass(frozen=True)
class Network:
  """A network as a pure function of its variables and of batches of arrays, see `load`.

  It is compiled once for each shape, and may be called under jit, grad, vmap, and with arrays that
  are sharded over mesh axes of the type Auto. Equal networks share their compiled programs.

  Raises:
    files.errors.Error: another number of arrays, other shapes, or arrays that are not floats.
  """

  name: str
  inputs: tuple[str, ...]  # Names and shapes of the arrays, such as 'image [b h w 3]'.
  output: str  # 'disparity' (near is large), 'depth' (far is large) or 'photo'.
  metric: bool  # Whether the output is in metres, or 1/m.
  multiple: int  # h, w and s must be multiples of it.
  model: Any = dataclasses.field(repr=False)
  function: Callable[..., jax.Array] = dataclasses.field(repr=False)  # Of model, variables, arrays.

  def __call__(self, variables: Any, *arrays: jax.Array) -> jax.Array:
    found = [(jnp.result_type(x), jnp.shape(x)) for x in arrays]
    shapes = [shape for _, shape in found]
    floats = all(jnp.issubdtype(kind, jnp.floating) for kind, _ in found)
    if not (floats and shapes and len(shapes[0]) == 4 and shapes == self.shapes(*shapes[0][:3])):
      wrong = ', '.join(f'{kind} {list(shape)}' for kind, shape in found)
      right = f'{", ".join(self.inputs)}, floats, h, w and s multiples of {self.multiple}'
      raise Error(f'{self.name}: the arrays are {wrong}; they must be {right}')
    return _run(self, variables, *arrays)

  def shapes(self, b: Any, h: int, w: int) -> list[tuple[Any, ...]]:
    """Shapes of the arrays for b pictures of (h, w) pixels; none if the size is not possible."""
    if b == 0 or min(h, w) < 1 or h % self.multiple or w % self.multiple:
      return []
    sizes = {'b': b, 'h': h, 'w': w, 's': h, '1': 1, '3': 3}
    keys = (text.partition('[')[2].rstrip(']').split() for text in self.inputs)
    return [tuple(sizes[key] for key in each) for each in keys]


@functools.partial(jax.jit, static_argnums=0)
def _run(network: Network, variables: Any, *arrays: jax.Array) -> jax.Array:
  return network.function(network.model, variables, *arrays)


def load(which: str | os.PathLike) -> tuple[Network, Any]:
  """Loads a network and its variables.

  Arrays are float32, images sRGB in [0, 1]. The arguments after the variables are:
    a predictor: image [b h w 3]; it returns its own values [b h w 1], by `output` and `metric`.
    sddr: low, high [b s s 1], disparity of any range -> [b s s 1] in the units of `low`.
    lensblur: photo [b h w 3], defocus [b h w 1] -> [b h w 3], the lowest level of the learned
      renderer, trained on long sides of about 320 pixels. `defocus` is the signed blur radius in
      pixels, positive in front of the focal plane, clipped at `network.model.radius`.
    layered: image [b h w 3], disparity in [0, 1] and mask in [0, 1], [b h w 1] -> the disparities
      of the mask's inside and outside, each complete [b h w 2].

  Args:
    which: 'sddr', 'lensblur' or 'layered', the networks of the package; or as in predictors.load,
      where runs and files may be of these tasks as well.

  Raises:
    files.errors.InputError: as predictors.load.
  """
  of, path = (which, None) if which in _OTHERS else (weights.task_of(which), which)
  if of in _OTHERS:
    network, variables = _OTHERS[of](path)
  else:
    predictor = predictors_lib.load(which)
    model, variables = predictor._replace(variables=None), predictor.variables
    kind = predictor.output, predictor.metric, predictor.multiple
    network = Network(predictor.name, ('image [b h w 3]',), *kind, model, predictors.output)
  # Once, not in every call.
  return network, jax.device_put(variables)


def _sddr(path: str | os.PathLike | None) -> tuple[Network, Any]:
  model, variables, *_ = refine.builtin() if path is None else refine.load(path)
  inputs, multiple = ('low [b s s 1]', 'high [b s s 1]'), refiners.stride(model)
  return Network('sddr', inputs, 'disparity', False, multiple, model, refine.fused), variables


def _lensblur(path: str | os.PathLike | None) -> tuple[Network, Any]:
  model, variables, _ = learned.builtin() if path is None else learned.load(path)
  inputs = 'photo [b h w 3]', 'defocus [b h w 1]'
  return Network('lensblur', inputs, 'photo', False, learned.STRIDE, model, _blurred), variables


def _layered(path: str | os.PathLike | None) -> tuple[Network, Any]:
  model, variables, _ = mask_learned.builtin() if path is None else mask_learned.load(path)
  inputs, kind = ('image [b h w 3]', 'disparity [b h w 1]', 'mask [b h w 1]'), ('disparity', False)
  return Network('layered', inputs, *kind, layered.STRIDE, model, _layers), variables


def _layers(model: layered.Layered, variables: Any, *maps: jax.Array) -> jax.Array:
  return jnp.concatenate(model.apply(variables, *maps), axis=-1)


def _blurred(model: LensBlur, variables: Any, photo: jax.Array, defocus: jax.Array) -> jax.Array:
  return model.apply(variables, photo, jnp.clip(defocus / model.radius, -1, 1), method='blur')


_OTHERS: Mapping[str, Callable] = {'layered': _layered, 'lensblur': _lensblur, 'sddr': _sddr}


def export(which: str | os.PathLike, size: tuple[int, int], path: str | os.PathLike) -> Network:
  """Writes a network for pictures of (h, w) pixels and batches of any size, and returns it.

  The file has StableHLO for CPU, CUDA and TPU with the weights, serialised by jax.export. Its
  arguments are `network.inputs`, float32.

  Raises:
    files.errors.Error: as `load`; a size that the network does not take; a name that ends in
      neither .stablehlo nor .jax_exported; a network too large for the file.
  """
  path = atomic.check_output(path, EXTENSIONS)
  network, variables = load(which)
  weight = sum(x.nbytes for x in jax.tree.leaves(variables))
  if weight > _LARGEST:
    wrong = f'would hold {weight / 1e9:.1f} GB of weights'
    raise InputError(path, wrong, f'a network with at most {_LARGEST / 1e9:.1f} GB')
  h, w = size
  shapes = network.shapes(jax_export.symbolic_shape('b')[0], h, w)
  if not shapes or shapes[0][1:3] != (h, w):
    right = f'{", ".join(network.inputs)}, multiples of {network.multiple}'
    raise Error(f'{network.name}: the size is {h} x {w}; the inputs must be {right}')
  arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  program = jax.jit(lambda *arrays: network(variables, *arrays))
  exported = jax_export.export(program, platforms=('cpu', 'cuda', 'tpu'))(*arrays)
  atomic.write_bytes(path, exported.serialize(), EXTENSIONS)
  return network
