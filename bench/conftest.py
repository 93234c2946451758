"""The option of `pytest bench/suite.py`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --sweep: which cells the suite times."""
    parser.addoption("--sweep", default="quick", help="a sweep's name, or a TOML file")
