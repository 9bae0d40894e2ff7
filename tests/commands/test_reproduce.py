"""`depthjax reproduce` with given weights: a table without any training."""

import pytest

from depthjax.reproduce import deeplens, layered, sddr, tom
from depthjax.reproduce.names import Name
from depthjax.train import loop
from tests import refiners


def test_names_are_those_of_the_tables():
  assert [*deeplens.TABLES, *sddr.TABLES, *layered.TABLES, *tom.TABLES] == list(Name)


def test_given_weights_are_evaluated_and_documented(run, tmp_path, monkeypatch):
  names = ('sddr', 'sddr-natural', 'sddr-natural-truth', 'gbdf')  # No row uses the last one.
  given = [f'--given={name}={refiners.save(tmp_path / f"{name}.safetensors")}' for name in names]
  line = 'reproduce sddr/table4c --root=runs --size=smoke'
  line = ' '.join([line, '--set=eval.examples=2 --seeds=2 --document=tables.md', *given])
  monkeypatch.setattr(loop, 'train', lambda *_: pytest.fail('no network needs training'))
  assert run(line)[0] == 0
  text = (tmp_path / 'tables.md').read_text()
  # All rows have the same network.
  assert '| Natural alone, L_gt alone | +0.0000 ± 0.0000 |' in text
  used = ', '.join(sorted(names[:3]))
  assert f'with eval.examples=2, {used} not trained but given, evaluated' in text
  assert '--set=eval.examples=2 --given=sddr=WEIGHTS' in text and 'gbdf=WEIGHTS' not in text
  assert ' --seeds=2`.' in text and 'standard error over 2 trainings' in text


def test_given_weights_of_another_task_are_refused(refuse, tmp_path):
  given = refiners.save(tmp_path / 'x.safetensors')
  line = f'reproduce layered/main --document=tables.md --given=layered={given}'
  refuse(line, "x.safetensors: holds weights 'sddr'; weights of the task 'layered'")
