"""The history's database file: its tables, their versions, and how it is opened.

SQLite, through the standard library, with a write-ahead log: one process writes at a time and
others wait; a kill in the middle of a write leaves what was there before.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench import ROOT
from bench.terminal.errors import BadInput

PLACE = ROOT / "results" / "history.sqlite"

VARIABLE = "BENCH_HISTORY"
"""Names another file; empty: runs are not kept."""

APPLICATION = 0x62656E63
"""The file's application id ("benc"), by which another program's database is told."""

MIGRATIONS = (
    # 1: the first
    """
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        digest TEXT NOT NULL,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        at_s REAL NOT NULL,
        commit_hash TEXT NOT NULL,
        clean INTEGER NOT NULL,
        machine TEXT NOT NULL,
        host TEXT NOT NULL,
        lock TEXT NOT NULL,
        facts TEXT NOT NULL,
        packages TEXT NOT NULL
    );
    CREATE TABLE subject (
        id INTEGER PRIMARY KEY,
        machine TEXT NOT NULL,
        source TEXT NOT NULL,
        quantity TEXT NOT NULL,
        kernel TEXT NOT NULL,
        n_in INTEGER NOT NULL,
        n_units INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        precision TEXT NOT NULL,
        activation TEXT NOT NULL,
        layer TEXT NOT NULL,
        device TEXT NOT NULL,
        threads INTEGER NOT NULL,
        cache TEXT NOT NULL,
        UNIQUE (machine, source, quantity, kernel, n_in, n_units, batch, precision, activation,
                layer, device, threads, cache)
    );
    CREATE TABLE value (
        subject INTEGER NOT NULL REFERENCES subject,
        run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
        value REAL NOT NULL,
        low REAL,
        high REAL,
        kernel_hash TEXT NOT NULL,
        PRIMARY KEY (subject, run)
    ) WITHOUT ROWID;
    """,
    # 2: a run that went on is written anew, which needs its values without a search of them all
    "CREATE INDEX value_of_run ON value (run);",
)
"""What brings a database from each version to the next; the first makes it. Never changed: a new
version is a new line."""

VERSION = len(MIGRATIONS)


def chosen(db: Path | None) -> Path | None:
    """The file: as asked for, as the environment says, or in results/; None: nowhere."""
    named = os.environ.get(VARIABLE)
    if db is not None or named is None:
        return db or PLACE
    return Path(named) if named else None


@contextmanager
def writing(path: Path, wait_s: float = 60.0) -> Iterator[sqlite3.Connection]:
    """The database in a transaction of its own, made or brought to this version where needed.

    Raises BadInput where the file can't be written, is no history or one of a newer version, or is
    in use for longer than `wait_s`; all that was in it then still is.
    """
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, wait_s, isolation_level=None)) as database:
            _refuse_strange(path, database)
            _log_ahead(database, wait_s)
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN IMMEDIATE")
            try:
                _migrate(database, _refuse_strange(path, database))
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as it is at this moment. Raises BadInput where there is none, or as `writing`.

    One of an older version is brought to this one first, where it may be written.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no history there yet: python -m bench history add RUN")
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    log = path.with_name(f"{path.name}-wal")
    if not writable and log.is_file() and log.stat().st_size:
        raise BadInput(f"{path} can't be read without writing: copy it and {log.name} elsewhere")
    # a log is shared through a file beside the database; where none can be made, nobody writes
    mode = "mode=rw" if writable else "immutable=1"
    with _named(path):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as database:
            version = _refuse_strange(path, database)
        if version < VERSION:
            if not writable:
                raise BadInput(f"{path} is of an older version: make it writable, or copy it")
            with writing(path):
                pass
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as database:
            database.execute("BEGIN")  # all that is read is of one moment
            yield database


def refuse_damaged(path: Path) -> None:
    """Raise BadInput for a file with damage anywhere, which no read or write need come upon."""
    if path.is_file():
        with reading(path) as database:
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                raise sqlite3.DatabaseError(answer)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Inside, what SQLite says is one line that names the file and the remedy: BadInput."""
    try:
        yield
    except sqlite3.OperationalError as error:
        remedy = "make it writable, or name another with --db or BENCH_HISTORY"
        if "locked" in str(error):
            remedy = "another program writes to it: wait, and try again"
        elif "full" in str(error):
            remedy = "free some space, and try again"
        raise BadInput(f"{path} can't be opened or written ({error}): {remedy}") from error
    except sqlite3.DatabaseError as error:
        why = " ".join(str(error).split())
        remedy = "move it away, then add the runs again"
        raise BadInput(f"{path} is damaged or no history ({why}): {remedy}") from error
    except OSError as error:
        raise BadInput(
            f"{path} can't be written ({error.strerror}): name another with --db or BENCH_HISTORY"
        ) from error


def _log_ahead(database: sqlite3.Connection, wait_s: float) -> None:
    """Switch to the write-ahead log; SQLite itself does not wait for others here."""
    end = time.monotonic() + wait_s
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _refuse_strange(path: Path, database: sqlite3.Connection) -> int:
    """The file's version, 0 of an empty one. Raises BadInput for another program's, or a newer."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (tables or version):
        raise BadInput(f"{path} is another program's database: name another file with --db")
    if version > VERSION:
        newer = f"{path} is of version {version}, and this program knows up to {VERSION}"
        raise BadInput(f"{newer}: use a newer checkout, or name another file with --db")
    return int(version)


def _migrate(database: sqlite3.Connection, version: int) -> None:
    """Inside a transaction. (`executescript` would end it.)"""
    for step in MIGRATIONS[version:]:
        for statement in filter(str.strip, step.split(";")):
            database.execute(statement)
    if version < VERSION:
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {VERSION}")
