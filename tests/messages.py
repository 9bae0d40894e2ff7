"""What the command line says of bad input."""


def assert_one_line(error: str, words: str) -> None:
  """One line on stderr that holds all the words, in their order."""
  assert error.count('\n') == 1 and error.startswith('depthjax: '), error
  position = 0
  for word in words.replace(';', ' ; ').split():
    position = error.find(word, position)
    assert position >= 0, f'{word!r} is missing, or not in its place, in {error!r}'
