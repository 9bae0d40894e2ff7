"""A report as one HTML file that needs no network: text, tables and pictures in a plain page."""

import base64
import html
import math
import os
import re
import struct
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depthjax.files.atomic import check_output, write_bytes
from depthjax.files.images import checked_image, encode, quantise

EXTENSIONS = ('.html',)
Picture = np.ndarray | bytes

# A picture is its own enlargement: its link aims at its frame, and :target lays that over the page.
# So each is embedded once, works without scripts, and the Back button closes it too.
_STYLE = """
:root{color-scheme:light dark;--text:#1d1d1f;--soft:#62626a;--line:#dedee3;--page:#fff;
--tint:#f5f5f7;--link:#0b5cad}
@media (prefers-color-scheme:dark){:root{--text:#ececf0;--soft:#a2a2ab;--line:#36363c;
--page:#151517;--tint:#1f1f23;--link:#7db8f5}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:66rem;padding:3rem 1.25rem 5rem;background:var(--page);
color:var(--text);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1,h2,h3{line-height:1.25;font-weight:650;letter-spacing:-.012em;text-wrap:balance}
h1{font-size:clamp(1.75rem,5vw,2.4rem);margin:0 0 .4rem}
h2{font-size:1.4rem;margin:3.2rem 0 .8rem}
h3{font-size:1.1rem;margin:2.2rem 0 .6rem}
p,pre{max-width:42rem;margin:.8rem 0}
header p{color:var(--soft);font-size:1.15rem;margin:0 0 2rem}
pre{background:var(--tint);border-radius:.4rem;padding:.8rem 1rem;overflow-x:auto;
font:.875rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
figure{margin:1.6rem 0}
figcaption,caption{color:var(--soft);font-size:.9rem;line-height:1.45;text-align:left}
figcaption{margin-top:.5rem;max-width:42rem}
caption{padding-bottom:.6rem}
.scroll{overflow-x:auto;margin:1.6rem 0}
table{border-collapse:collapse;font-size:.95rem;font-variant-numeric:tabular-nums lining-nums}
th,td{padding:.42rem 1.4rem .42rem 0;text-align:left;vertical-align:baseline}
th:last-child,td:last-child{padding-right:0}
thead th{border-bottom:1.5px solid var(--text);font-weight:600;vertical-align:bottom}
tbody th{font-weight:400}
tbody tr{border-bottom:1px solid var(--line)}
.number{text-align:right;white-space:nowrap}
.set{display:grid;gap:1.2rem 1rem;
grid-template-columns:repeat(auto-fit,minmax(min(15rem,100%),1fr))}
.set figure{margin:0}
.set+figcaption{margin-top:1rem}
.frame{position:relative;max-width:100%}
.frame>a:first-child{display:block;cursor:zoom-in}
.frame img{display:block;width:100%;height:auto;border-radius:.25rem;background:var(--tint)}
.close{display:none}
.place{max-width:100%}
.frame:target{position:fixed;inset:0;z-index:1;background:#000e;display:grid;place-items:center}
.frame:target img{width:100vw;height:100vh;height:100dvh;object-fit:contain;background:none;
border-radius:0}
.frame:target .close{display:block;position:absolute;inset:0;cursor:zoom-out}
.close::after{content:"\\00d7";position:absolute;top:.4rem;right:1rem;color:#fff;
font-size:2.2rem;line-height:1}
a:focus-visible{outline:3px solid var(--link);outline-offset:2px}
@media print{body{max-width:none;padding:0}.close{display:none}figure,tr{break-inside:avoid}}
"""


class Report:
  """Collects the parts of a report in order; `write` makes the file.

  All text is escaped: pass it plain. Pictures are floats [h w 3], [h w 1] or [h w], sRGB in [0, 1],
  or the bytes of a PNG or JPEG file; they are embedded.
  """

  def __init__(self, title: str, subtitle: str = '', *, language: str = 'en'):
    self.title, self.language = title, language
    self._parts = [f'<header>\n<h1>{_text(title)}</h1>']
    self._parts += [f'<p>{_text(subtitle)}</p>'] if subtitle else []
    self._parts += ['</header>']
    self._pictures = 0

  def heading(self, text: str, level: int = 2) -> None:
    """A heading of level 2 or 3."""
    if level not in (2, 3):
      raise ValueError(f'heading level {level}; expected 2 or 3')
    self._parts.append(f'<h{level}>{_text(text)}</h{level}>')

  def paragraph(self, text: str) -> None:
    """A paragraph of plain text."""
    self._parts.append(f'<p>{_text(text)}</p>')

  def code(self, text: str) -> None:
    """Lines as they are, such as the command that made a number."""
    self._parts.append(f'<pre tabindex="0"><code>{_text(text)}</code></pre>')

  def table(self, rows: Iterable[Sequence[Any]], header: Sequence[str], caption: str = '') -> None:
    """A table whose first column names its rows.

    Numbers align right with equal digits: whole ones as they are, others with four significant
    digits (pass a string for another form); None is a dash.

    Raises:
      ValueError: a row that is not as long as the header.
    """
    rows = [tuple(row) for row in rows]
    for row in rows:
      if len(row) != len(header):
        raise ValueError(f'row {row!r} has {len(row)} cells; expected {len(header)}')
    kinds = [' class="number"' if _is_numeric(column) else '' for column in zip(*rows, strict=True)]
    kinds = kinds or [''] * len(header)
    heads = ''.join(
      f'<th scope="col"{kind}>{_text(head)}</th>' for head, kind in zip(header, kinds, strict=True)
    )
    lines = [f'<table>\n{f"<caption>{_text(caption)}</caption>" if caption else ""}']
    lines.append(f'<thead><tr>{heads}</tr></thead>\n<tbody>')
    for row in rows:
      first, *rest = (_text(_cell(cell)) for cell in row)
      cells = ''.join(f'<td{k}>{cell}</td>' for cell, k in zip(rest, kinds[1:], strict=True))
      lines.append(f'<tr><th scope="row"{kinds[0]}>{first}</th>{cells}</tr>')
    lines.append('</tbody>\n</table>')
    label = _text(caption or 'Table')
    table = '\n'.join(lines)
    self._parts.append(
      f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n{table}\n</div>'
    )

  def figure(
    self,
    picture: Picture,
    caption: str = '',
    *,
    alt: str = '',
    lossless: bool = False,
    max_side: int = 1600,
  ) -> None:
    """A picture with its caption; a click enlarges it.

    Args:
      picture: floats, embedded as JPEG of quality 90, or the bytes of a PNG or JPEG file.
      caption: the text below.
      alt: what the picture shows, for those who do not see it; the caption where empty.
      lossless: embed floats as PNG: for plots and masks.
      max_side: floats longer than this are shrunk (area mean) before they are embedded.

    Raises:
      InputError: NaN, integers or another shape.
      ValueError: bytes that are neither PNG nor JPEG.
    """
    self._parts.append(self._figure(picture, caption, alt, lossless, max_side))

  def comparison(
    self,
    pictures: Sequence[tuple[Picture, str]],
    caption: str = '',
    *,
    lossless: bool = False,
    max_side: int = 1600,
  ) -> None:
    """Pictures side by side, below each other on a narrow screen; a click enlarges one.

    Args:
      pictures: (picture, its caption) each; see `figure`.
      caption: the text below all of them.
      lossless: embed floats as PNG.
      max_side: floats longer than this are shrunk.

    Raises:
      InputError, ValueError: as `figure`.
    """
    inner = '\n'.join(self._figure(p, text, '', lossless, max_side) for p, text in pictures)
    below = f'\n<figcaption>{_text(caption)}</figcaption>' if caption else ''
    self._parts.append(f'<figure>\n<div class="set">\n{inner}\n</div>{below}\n</figure>')

  def write(self, path: str | os.PathLike) -> Path:
    """Writes the page as .html and returns its path; errors as `atomic.check_output`."""
    path = check_output(path, EXTENSIONS)
    page = (
      f'<!DOCTYPE html>\n<html lang="{_text(self.language)}">\n<head>\n<meta charset="utf-8">\n'
      '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
      f'<title>{_text(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n'
    )
    page += '\n'.join(self._parts) + '\n</body>\n</html>\n'
    write_bytes(path, page.encode(), EXTENSIONS)
    return path

  def _figure(self, picture: Picture, caption: str, alt: str, lossless: bool, max_side: int) -> str:
    self._pictures += 1
    name = f'picture-{self._pictures}'
    if not isinstance(picture, bytes):
      picture = _encoded(name, picture, lossless, max_side)
    kind, w, h = _kind_and_size(picture)
    source = f'data:image/{kind};base64,{base64.b64encode(picture).decode()}'
    alt = _text(alt or caption or f'Picture {self._pictures}')
    below = f'\n<figcaption>{_text(caption)}</figcaption>' if caption else ''
    width = f'max-width:min({w}px,calc(85vh*{w}/{h}))'
    # The place keeps its height while the frame lies over the page, so that nothing jumps.
    return (
      f'<figure>\n<div class="place" style="aspect-ratio:{w}/{h};{width}">'
      f'<div class="frame" id="{name}"><a href="#{name}" aria-label="Enlarge: {alt}">'
      f'<img src="{source}" width="{w}" height="{h}" alt="{alt}"></a>'
      f'<a class="close" href="#close" aria-label="Close"></a></div></div>{below}\n</figure>'
    )


def _text(text: str) -> str:
  return html.escape(str(text))


def _cell(value: Any) -> str:
  if value is None:
    return '–'
  if isinstance(value, Integral) or not isinstance(value, Real):
    return str(value)
  if value and math.isfinite(value) and 1e-3 <= abs(value) < 1e6:
    text = f'{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}'
  else:
    text = f'{value:.4g}'
  return text.replace('-', '−', 1)


def _is_numeric(column: Sequence[Any]) -> bool:
  """Whether all that is there are numbers, or strings that begin as numbers do."""
  filled = [value for value in column if value is not None and value != '']
  return bool(filled) and all(
    isinstance(v, Real) or re.match(r'[-+−±<>≈]?\s?\.?\d', str(v)) for v in filled
  )


def _encoded(name: str, picture: np.ndarray, lossless: bool, max_side: int) -> bytes:
  image = checked_image(name, picture).astype(np.float32)
  h, w = image.shape[:2]
  if max(h, w) > max_side:
    size = [max(1, round(side * max_side / max(h, w))) for side in (w, h)]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  if lossless:
    return encode('picture.png', quantise(image))
  return encode('picture.jpg', quantise(image), (cv2.IMWRITE_JPEG_QUALITY, 90))


def _kind_and_size(data: bytes) -> tuple[str, int, int]:
  """The kind of file, width and height, from the headers of PNG and JPEG."""
  if data[:8] == b'\x89PNG\r\n\x1a\n':
    return 'png', *struct.unpack('>II', data[16:24])
  start = 2
  while data[:2] == b'\xff\xd8' and start + 9 <= len(data):
    marker, length = data[start + 1], struct.unpack('>H', data[start + 2 : start + 4])[0]
    # Start-of-frame markers are 0xc0 to 0xcf but for three that are tables.
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
      h, w = struct.unpack('>HH', data[start + 5 : start + 9])
      return 'jpeg', w, h
    start += 2 + length
  raise ValueError('a picture is neither floats nor the bytes of a PNG or JPEG file')
