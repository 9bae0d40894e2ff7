"""Layered scenes on the device: a record unpacked, its image and its disparity."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from depthjax.ops import colour, layers, materials

Record = dict[str, jax.Array]


class Geometry(NamedTuple):
  """Static properties of a config's scenes, which compiled renderers depend on."""

  pad: int  # Padding of the layers, pixels.
  tilted: tuple[int, ...]  # Indices of layers whose planes may be tilted.
  relief: bool  # Whether layers may have relief.
  materials: bool  # Whether layers may be of glass or mirrors.


class Scene(NamedTuple):
  """The layers of one record, near first, with p pixels of padding on all sides."""

  light: jax.Array  # Linear [l h+2p w+2p 3], straight alpha, complete behind nearer layers.
  alpha: jax.Array  # Coverage [l h+2p w+2p] in [0, 1].
  planes: jax.Array  # Planes of disparity [l 3].
  relief: jax.Array | None  # Disparity added to the plane's [l h+2p w+2p].
  pad: int  # p.
  material: jax.Array | None  # Of each layer [l], as in ops.materials; None means opaque.
  seed: jax.Array | None  # Of the looks of materials [], uint32.


class Appearance(NamedTuple):
  """What a camera sees of a scene, all in focus."""

  image: jax.Array  # Linear light [h w 3].
  tom: jax.Array  # 1 where the first layer with an alpha above 0.5 is of glass or a mirror [h w 1].
  naive: jax.Array  # Disparity of what is seen through glass or in a mirror [h w 1].
  disparity: jax.Array  # True disparity [h w 1].


def geometry(data: Any) -> Geometry:
  """The static properties of the scenes of a config's `data`."""
  foregrounds = range(data.layers - 1) if data.tilted_foreground else ()
  background = (data.layers - 1,) if data.tilted_background else ()
  tilted, materials_drawn = (*foregrounds, *background), data.glass + data.mirror > 0
  return Geometry(data.pad, tilted, data.relief > 0, materials_drawn)


def check_frame(data: Any, multiple: int) -> None:
  """Raises ValueError if height or width of the frame is 0 or not a multiple of a number."""
  for name in ('height', 'width'):
    if data[name] % multiple or not data[name]:
      raise ValueError(f'data.{name} is {data[name]}; it must be a multiple of {multiple}')


def unpack(record: Record, form: Geometry) -> Scene:
  """The layers of a record of data.records.scene."""
  light, alpha = layers.unpack(record['layers'])
  relief = jax.image.resize(record['relief'], alpha.shape, 'cubic') if form.relief else None
  looks = (record['material'], record['seed']) if form.materials else (None, None)
  return Scene(light, alpha, record['planes'], relief, form.pad, *looks)


def image(scene: Scene) -> jax.Array:
  """The all-in-focus image of opaque layers: linear light [h w 3]."""
  return layers.composite(layers.crop(scene.light, scene.pad), layers.crop(scene.alpha, scene.pad))


def surfaces(scene: Scene) -> jax.Array:
  """Disparity of each layer [l h w], complete behind nearer layers."""
  h, w = (size - 2 * scene.pad for size in scene.alpha.shape[1:])
  return layers.plane_disparity(scene.planes, h, w, relief=scene.relief)


def disparity(scene: Scene) -> jax.Array:
  """True disparity [h w 1], that of the first layer with an alpha above 0.5."""
  return _first(scene, surfaces(scene))


def appearance(scene: Scene) -> Appearance:
  """Image, mask of glass and mirrors, naive and true disparity."""
  true = disparity(scene)
  if scene.material is None:
    return Appearance(image(scene), jnp.zeros_like(true), true, true)
  light, alpha = (layers.crop(x, scene.pad) for x in (scene.light, scene.alpha))
  key = jax.random.key(scene.seed)
  seen, naive = materials.render(light, alpha, surfaces(scene), scene.material, key)
  tom = _first(scene, (scene.material > 0)[:, None, None].astype(jnp.float32))
  return Appearance(seen, tom, naive, true)


def _first(scene, values):
  """Of values of layers [l h w], that of the first layer with an alpha above 0.5 [h w 1]."""
  covered = layers.crop(scene.alpha, scene.pad) > 0.5
  return layers.front_disparity(values, covered.astype(jnp.float32))


def encode(linear: jax.Array) -> jax.Array:
  """Linear light as sRGB, clipped to [0, 1]."""
  return colour.linear_to_srgb(jnp.clip(linear, 0, 1))
