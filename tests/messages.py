"""Assertions about the messages of refused input, from functions and from the command line."""

import pytest

from depthjax.files.errors import InputError


def refused(call, *parts):
  """Asserts that a call raises an InputError whose one-line message contains all parts."""
  with pytest.raises(InputError) as caught:
    call()
  message = str(caught.value)
  assert '\n' not in message and '; expected ' in message
  for part in parts:
    assert str(part) in message, message


def assert_one_line(error: str, words: str) -> None:
  """Asserts that stderr is one line that contains all the words in this order."""
  assert error.count('\n') == 1 and error.startswith('depthjax: '), error
  position = 0
  for word in words.replace(';', ' ; ').split():
    position = error.find(word, position)
    assert position >= 0, f'{word!r} is missing or in another order in {error!r}'
