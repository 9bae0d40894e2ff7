"""Reports: well-formed, escaped HTML with every picture embedded."""

import base64
import io
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from PIL import Image

from depthjax.files.errors import InputError
from depthjax.files.report import Report

PHOTO = np.random.default_rng(0).random((12, 20, 3)).astype(np.float32)


class Page(HTMLParser):
  """Elements and text of a page; raises where elements are not closed in order."""

  def __init__(self, text):
    super().__init__()
    self.source, self.elements, self.text, self.open = text, [], '', []
    self.feed(text)
    assert self.open == [], self.open

  def handle_starttag(self, tag, attributes):
    self.elements.append((tag, dict(attributes)))
    if tag not in ('meta', 'img'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text += data if self.open[-1:] != ['style'] else ''

  def all(self, tag):
    return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(tmp_path):
  """A page with parts of every kind."""
  report = Report('Blur & <depth>', 'Six "photos"')
  report.heading('Part <one>')
  report.paragraph('1 < 2 & <script>alert(1)</script>')
  report.table([('<a>', '31.23', 7), ('b', '20.00', 8)], ['Name', 'PSNR', 'N'])
  plot = cv2.imencode('.png', np.zeros((30, 40, 3), np.uint8))[1].tobytes()
  report.figure(plot, 'A "plot" & more')
  report.comparison([(PHOTO, 'Before'), (PHOTO[..., 0], 'After')], 'Both')
  return Page(report.write(tmp_path / 'a.html').read_text(encoding='utf-8'))


def test_page_is_well_formed_and_escaped(page):
  assert page.source.startswith('<!DOCTYPE html>\n<html lang="en">')
  assert {'charset': 'utf-8'} in page.all('meta')
  parts = ['Blur & <depth>', 'Six "photos"', 'Part <one>', '1 < 2 & <script>alert(1)</script>']
  positions = [page.text.rindex(part) for part in [*parts, '<a>', '31.23', 'A "plot"', 'Both']]
  assert positions == sorted(positions)
  assert not page.all('script')
  assert len(page.all('th')) == 5 and len(page.all('td')) == 4


def test_page_needs_no_other_file(page):
  links = re.findall(r'(?:src|href)="(.*?)"', page.source)
  assert links and all(link.startswith(('#', 'data:image/')) for link in links)
  assert not re.search(r'https?:|url\(|@import', page.source)


def test_pictures_are_embedded_with_size_and_alternative_text(page):
  images = page.all('img')
  assert [image['alt'] for image in images] == ['A "plot" & more', 'Before', 'After']
  decoded = []
  for attributes in images:
    kind, data = re.fullmatch(r'data:image/(\w+);base64,(.+)', attributes['src']).groups()
    decoded.append(Image.open(io.BytesIO(base64.b64decode(data))))
    assert decoded[-1].format.lower() == kind
    assert decoded[-1].size == (int(attributes['width']), int(attributes['height']))
  assert [image.format for image in decoded] == ['PNG', 'JPEG', 'JPEG']
  assert np.abs(np.asarray(decoded[1]) / 255 - PHOTO).mean() < 0.05


def test_each_picture_links_to_its_enlargement(page):
  frames = [a['id'] for a in page.all('div') if a.get('class') == 'frame']
  links = [a['href'] for a in page.all('a') if a.get('class') != 'close']
  assert links == [f'#{name}' for name in frames] and len(set(frames)) == 3
  assert all(a['aria-label'] for a in page.all('a'))


def test_invalid_parts_are_refused(tmp_path):
  report = Report('Bad', '')
  with pytest.raises(ValueError, match='has 1 cells; expected 2'):
    report.table([('a',)], ['A', 'B'])
  with pytest.raises(OSError, match='cannot identify image'):
    report.figure(b'rubbish', '')
  with pytest.raises(InputError, match='NaN'):
    report.figure(PHOTO * np.nan, '')
  with pytest.raises(InputError, match=r"a\.htm: ends in '\.htm'; expected .* \.html"):
    report.write(tmp_path / 'a.htm')
  assert list(tmp_path.iterdir()) == []
