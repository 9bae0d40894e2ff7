"""What the tests of `depthjax prepare` share."""

from tests.commands.conftest import fixture_run  # noqa: F401
