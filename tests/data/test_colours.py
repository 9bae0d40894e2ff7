"""Colours of the passes depend on seed, name and pass alone."""

import numpy as np

from depthjax.data import colours


def test_one_pass_is_grey_and_others_are_uniform():
  found = colours.colours(np.random.default_rng(0), 4000)
  assert found.shape == (4000, 3) and found.dtype == np.float32
  assert 0 <= found.min() < 0.01 < 0.99 < found.max() < 1
  np.testing.assert_allclose(found.mean(0), 0.5, atol=0.02)
  assert (colours.colours(np.random.default_rng(0), 1) == 0.5).all()
  np.testing.assert_array_equal(colours.of_name(3, 'a', 1, 2), np.full((1, 2, 3), 0.5))


def test_colours_of_a_name_do_not_depend_on_the_numbers_of_passes_and_regions():
  found = colours.of_name(0, 'a', 5, 3)
  assert found.shape == (5, 3, 3) and found.dtype == np.float32
  np.testing.assert_array_equal(colours.of_name(0, 'a', 3), found[:3, :1])
  others = [colours.of_name(*key, 5, 3) for key in ((1, 'a'), (0, 'b'), (0, 'ä'))]
  every = np.stack([found, *others]).reshape(-1, 3)
  assert len(np.unique(every, axis=0)) == 4 * 5 * 3
  # Fixed: labels that exist must stay reproducible.
  np.testing.assert_allclose(found[0, 0], [0.552856, 0.045907, 0.911483], atol=1e-6)
