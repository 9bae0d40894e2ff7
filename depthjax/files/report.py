"""Reports: headings, text, tables and pictures in one HTML file without external resources."""

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from depthjax.files.atomic import write_bytes
from depthjax.files.encoding import encode
from depthjax.files.images import checked_image, quantise

Picture = np.ndarray | bytes
_TEMPLATES = jinja2.Environment(
  loader=jinja2.PackageLoader('depthjax', 'files'),
  autoescape=True,
  trim_blocks=True,
  lstrip_blocks=True,
  undefined=jinja2.StrictUndefined,
)


class Report:
  """Collects the parts of a report in order; `write` renders report.html.jinja with them.

  Text is plain; it is escaped. Pictures are floats [h w 3], [h w 1] or [h w], sRGB in [0, 1], which
  are embedded as JPEG of quality 90, or the bytes of an image file.
  """

  def __init__(self, title: str, subtitle: str):
    self._title, self._subtitle = title, subtitle
    self._parts: list[tuple[str, Any]] = []
    self._pictures = 0

  def heading(self, text: str) -> None:
    """Adds a heading."""
    self._parts.append(('heading', text))

  def paragraph(self, text: str) -> None:
    """Adds a paragraph."""
    self._parts.append(('paragraph', text))

  def table(self, rows: Sequence[Sequence[Any]], header: Sequence[str]) -> None:
    """Adds a table: names in the first column, numbers, as they are to be printed, in the others.

    Raises ValueError: a row and the header differ in length.
    """
    for row in rows:
      if len(row) != len(header):
        raise ValueError(f'row {row!r} has {len(row)} cells; expected {len(header)}')
    self._parts.append(('table', {'rows': rows, 'header': header}))

  def figure(self, picture: Picture, caption: str) -> None:
    """Adds a picture, which a click enlarges.

    Raises InputError: NaN, integers or another shape; OSError: bytes that are not an image.
    """
    self._parts.append(('figure', self._embedded(picture, caption)))

  def comparison(self, pictures: Sequence[tuple[Picture, str]], caption: str) -> None:
    """Adds pictures side by side, each with its caption; errors as `figure`."""
    figures = [self._embedded(picture, text) for picture, text in pictures]
    self._parts.append(('comparison', {'pictures': figures, 'caption': caption}))

  def write(self, path: str | os.PathLike) -> Path:
    """Writes the page as .html and returns its path; errors as `atomic.check_output`."""
    template = _TEMPLATES.get_template('report.html.jinja')
    page = template.render(title=self._title, subtitle=self._subtitle, parts=self._parts)
    write_bytes(path, page.encode(), ('.html',))
    return Path(path)

  def _embedded(self, picture: Picture, caption: str) -> dict[str, Any]:
    self._pictures += 1
    name = f'picture-{self._pictures}'
    if not isinstance(picture, bytes):
      picture = encode('picture.jpg', quantise(checked_image(name, picture)), quality=90)
    with Image.open(io.BytesIO(picture)) as image:
      kind, (width, height) = image.format.lower(), image.size
    source = f'data:image/{kind};base64,{base64.b64encode(picture).decode()}'
    return {'id': name, 'source': source, 'width': width, 'height': height, 'caption': caption}
