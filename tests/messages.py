"""What is said of bad input: by the functions that refuse it, and by the command line."""

import pytest

from depthjax.files.errors import InputError


def refused(call, *parts):
  """Runs what must fail and checks that the one-line message has all parts."""
  with pytest.raises(InputError) as caught:
    call()
  message = str(caught.value)
  assert '\n' not in message and '; expected ' in message
  for part in parts:
    assert str(part) in message, message


def assert_one_line(error: str, words: str) -> None:
  """One line on stderr that holds all the words, in their order."""
  assert error.count('\n') == 1 and error.startswith('depthjax: '), error
  position = 0
  for word in words.replace(';', ' ; ').split():
    position = error.find(word, position)
    assert position >= 0, f'{word!r} is missing, or not in its place, in {error!r}'
