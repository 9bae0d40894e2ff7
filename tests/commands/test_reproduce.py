"""`depthjax reproduce` with networks that are given: a table without any training."""

import pytest

from depthjax import cli
from depthjax.train import loop
from tests import refiners, tiny


def test_given_networks_are_measured_and_the_document_says_so(tmp_path, monkeypatch):
  names = ('sddr', 'sddr-natural', 'sddr-natural-truth', 'gbdf')  # The last is in no row of it.
  given = [f'--given={name}={refiners.save(tmp_path / f"{name}.safetensors")}' for name in names]
  document = tmp_path / 'tables.md'
  options = ['--size=smoke', '--set=eval.examples=2', f'--document={document}', *given]
  places = [f'--root={tmp_path / "runs"}', f'--configs={tiny.ROOT / "configs"}']
  monkeypatch.setattr('sys.argv', ['depthjax', 'reproduce', 'sddr/table4c', *options, *places])
  monkeypatch.setattr(loop, 'train', lambda *_: pytest.fail('there is nothing to train'))
  with pytest.raises(SystemExit) as caught:
    cli.main()
  assert not caught.value.code
  text = document.read_text()
  # The same network thrice: rows do not differ.
  assert '| Natural alone, L_gt alone | +0.0000 ± 0.0000 |' in text
  used = ', '.join(sorted(names[:3]))
  assert f'with eval.examples=2, {used} not trained but given, evaluated' in text
  assert '--set=eval.examples=2 --given=sddr=WEIGHTS' in text and 'gbdf=WEIGHTS' not in text
