"""Strokes and filled polygons on a square canvas.

Canvases are uint8 [size size], modified in place. Points are [n 2], (x, y), in units of half a
canvas, with the origin in the middle and y down.
"""

import cv2
import numpy as np


def to_pixels(canvas, points):
  """Points [... 2] in the fixed point of OpenCV: 1/16 pixel, 0 at the centre of a pixel."""
  return np.rint(((np.asarray(points) + 1) * canvas.shape[0] / 2 - 0.5) * 16).astype(np.int32)


def fill(canvas, points, value=255):
  """Fills a polygon with corners [n 2]."""
  cv2.fillPoly(canvas, [to_pixels(canvas, points)], value, cv2.LINE_AA, 4)


def stroke(canvas, points, widths):
  """Draws a polyline [n 2] with round joints; segment i has the width widths[i]."""
  widths = np.maximum(2, np.rint(np.asarray(widths) * canvas.shape[0] / 2)).astype(int).tolist()
  points = to_pixels(canvas, points).tolist()
  for start, end, width in zip(points, points[1:], widths, strict=False):
    cv2.line(canvas, start, end, 255, width, cv2.LINE_AA, 4)


def rotate(points, angle):
  """Points [n 2], rotated about the origin by an angle in radians."""
  cos, sin = np.cos(angle), np.sin(angle)
  return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]])


def closed_curve(rng, *, roughness, harmonics=9, samples=160):
  """A closed curve around the origin, its log radius a Fourier series: [samples 2], up to 0.9."""
  angle = np.linspace(0, 2 * np.pi, samples, endpoint=False)
  order = np.arange(1, harmonics + 1)
  weight = rng.normal(0, 1, (2, harmonics)) * roughness / order**1.2
  radius = weight[0] @ np.cos(np.outer(order, angle)) + weight[1] @ np.sin(np.outer(order, angle))
  radius = np.exp(radius)
  radius *= 0.9 / radius.max()
  return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
