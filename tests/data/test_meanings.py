"""The documentation's tables of columns are made from comments: none may lack one."""

from dataclasses import fields

import pytest

from bench.data import meanings, records


@pytest.mark.parametrize("asked", meanings.RECORDS)
def test_every_column_has_a_meaning_of_its_own(asked: str) -> None:
    record = getattr(records, meanings.RECORDS[asked])
    names = records.STATUSES if asked == "status" else [field.name for field in fields(record)]
    pairs = dict(meanings.meanings(asked))
    assert list(pairs) == list(names)
    for name, meaning in pairs.items():
        assert meaning, name
        assert "|" not in meaning, name  # it would end a cell of the table
    assert len(set(pairs.values())) == len(pairs)


def test_a_table_in_markdown() -> None:
    lines = meanings.table("blocks").splitlines()
    assert lines[:3] == [
        "| column | meaning |",
        "| --- | --- |",
        "| `visit` | number of the visit, as in visits.csv |",
    ]
    assert len(lines) == 2 + len(fields(records.Block))
