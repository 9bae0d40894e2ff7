"""Records on the device against a composition in NumPy."""

import jax
import numpy as np

from depthjax.data.scenes.config import SceneConfig
from depthjax.tasks import deeplens_depth, dof, scene
from tests.data import made

FIELDS = {'layers': 4, 'tilted_foreground': 1.0, 'tilted_background': 1.0, 'relief': 0.7}


def test_image_and_disparity_equal_a_composition_in_numpy():
  record = made.scene(0, **FIELDS)
  drawn = scene.unpack(record, scene.geometry(SceneConfig(**FIELDS, pad=6)))
  relief = np.asarray(jax.image.resize(record['relief'], (4, 60, 76), 'cubic'))
  y, x = (np.mgrid[:48, :64] + 0.5) / np.array([48, 64])[:, None, None] - 0.5
  image, disparity = np.zeros((48, 64, 3)), np.zeros((48, 64))
  for layer in range(3, -1, -1):
    *colour, alpha = np.moveaxis(record['layers'][layer, 6:-6, 6:-6] / 255, -1, 0)
    srgb = np.stack(colour, axis=-1)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    image = alpha[..., None] * linear + (1 - alpha[..., None]) * image
    p0, p1, p2 = record['planes'][layer]
    surface = p0 + p1 * x + p2 * y + relief[layer, 6:-6, 6:-6]
    np.testing.assert_allclose(scene.surfaces(drawn)[layer], surface, atol=1e-6)
    disparity = np.where(alpha > 0.5, surface, disparity)
  np.testing.assert_allclose(scene.image(drawn), image, atol=1e-5)
  np.testing.assert_allclose(scene.disparity(drawn)[..., 0], disparity, atol=1e-6)


def test_geometry_names_the_layers_that_may_be_tilted():
  for near, far, expected in (
    (0, 0, ()),
    (0, 0.5, (3,)),
    (0.5, 0, (0, 1, 2)),
    (0.5, 0.5, (0, 1, 2, 3)),
  ):
    config = SceneConfig(layers=4, tilted_foreground=near, tilted_background=far)
    assert scene.geometry(config)[1:] == (expected, False, False)


def test_a_lens_without_relief_gets_the_disparity_that_it_renders():
  record = made.scene(0, **FIELDS)
  geometry = scene.geometry(SceneConfig(**FIELDS, pad=6))
  options = {'samples': 4, 'radius': 3, 'steepness': 2.0, 'corrupted': False}

  def render(relief, geometry):
    return dof.render_example(record, geometry=geometry, relief=relief, **options)

  flat = render(False, geometry._replace(relief=False))
  without, seen = render(False, geometry), render(True, geometry)
  for name, x in flat.items():
    np.testing.assert_array_equal(without[name], x)
  for name in ('disparity', 'defocus', 'target'):
    assert np.abs(seen[name] - flat[name]).max() > 0.005
  np.testing.assert_allclose(seen['disparity'], scene.disparity(scene.unpack(record, geometry)))


def test_without_glass_and_mirrors_the_appearance_is_that_of_opaque_layers():
  record = made.scene(0, **FIELDS)
  geometry = scene.geometry(SceneConfig(**FIELDS, pad=6))
  record.pop('material')  # Records may lack what is not drawn.
  opaque = scene.unpack(record, geometry)
  seen = scene.appearance(opaque)
  np.testing.assert_array_equal(seen.image, scene.image(opaque))
  np.testing.assert_array_equal(seen.naive, scene.disparity(opaque))
  drawn = scene.unpack({**record, 'material': np.zeros(4)}, geometry._replace(materials=True))
  for name, x in scene.appearance(drawn)._asdict().items():
    np.testing.assert_allclose(x, getattr(seen, name), atol=1e-6)
  assert not seen.tom.any()


def test_glass_and_mirrors_are_in_the_image_and_have_their_true_disparity():
  fields = {**FIELDS, 'glass': 0.5, 'mirror': 0.5}
  record = {**made.scene(0, **fields), 'index': 3}
  geometry = scene.geometry(SceneConfig(**fields, pad=6))
  drawn = scene.unpack(record, geometry)
  seen = jax.jit(lambda record: scene.appearance(scene.unpack(record, geometry)))(record)
  covered = (record['layers'][:-1, 6:-6, 6:-6, 3] > 127).any(0)
  np.testing.assert_array_equal(seen.tom[..., 0], covered)
  np.testing.assert_array_equal(seen.disparity, scene.disparity(drawn))
  assert seen.naive.min() >= 0 and (seen.naive < seen.disparity - 0.01)[covered].mean() > 0.5
  np.testing.assert_allclose(seen.naive[~covered], seen.disparity[~covered], atol=1e-6)
  example = deeplens_depth.render_example(record, geometry)
  np.testing.assert_allclose(example['image'], scene.encode(seen.image), atol=2e-3)
  np.testing.assert_allclose(np.ptp(example['disparity']), 1, atol=1e-5)
