"""Pure jnp functions of images, depth and light; without a batch axis unless a docstring says so.

Axis letters in the docstrings of this package:

  b  batch                      l  layers of a scene, near first
  h  rows of the frame          w  columns of the frame
  p  padding around the frame   hp wp  the padded frame, h + 2p and w + 2p
  s  samples of the lens        c  channels

x points right, y points down, both in pixels with centres at half integers. Disparity is inverse
depth, so larger is nearer. Images are sRGB in [0, 1] unless a docstring says linear: light is
blurred, averaged and composited in linear light.
"""
