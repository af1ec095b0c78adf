"""The server's database, on SQLite and on a real PostgreSQL: tables, tokens, rules, sessions, states, the audit log."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from voxarium.errors import InputError, NotFoundError, StoreError, UnsupportedError, VoxariumError

sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
alembic = pytest.importorskip("alembic", reason="alembic is not installed")

from voxarium.serve import secret_text  # noqa: E402
from voxarium.serve.database import default_database, engine, open_database, schema  # noqa: E402
from voxarium.serve.database.audit import Event, list_events, record_all  # noqa: E402
from voxarium.serve.database.rules import list_rules, set_rule  # noqa: E402
from voxarium.serve.database.sessions import begin_session, end_session, find_session, server_secret  # noqa: E402
from voxarium.serve.database.states import FullError, StateLimits, get_state, save_state  # noqa: E402
from voxarium.serve.database.tokens import (  # noqa: E402
    create_token,
    list_tokens,
    note_use,
    revoke_token,
    verify_token,
)

REVISIONS = ["0001", "0002", "0003"]


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Return the address of an empty database."""
    if request.param == "sqlite":
        yield str(tmp_path / "server.db")
        return
    url = request.getfixturevalue("postgresql_url")
    name = f"t{time.monotonic_ns()}"
    admin = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url.rpartition("/")[0] + f"/{name}"
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


@pytest.fixture
def database(address):
    found = open_database(address)
    yield found
    found.close()


# ------------------------------------------------------------------------------------------------------------ tables
def differences(database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, schema.METADATA)


def test_migrations_make_the_tables_that_the_code_knows(database):
    assert differences(database) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_databases_of_every_earlier_revision_are_brought_up_to_date(address, revision):
    from alembic import command

    database = engine.Database(engine._engine(address, create=True))
    with database.writing() as connection:
        command.upgrade(engine.migrations(connection), revision)
        connection.execute(
            sqlalchemy.insert(schema.tokens).values(
                id="0123456789ab", digest=secret_text.digest_of("A" * 43), name="old", kind="personal", created_at=1.0,
                created_by="",
            )
        )  # fmt: skip
        connection.execute(
            sqlalchemy.insert(schema.grants).values(token_id="0123456789ab", address="lab", scope="read")
        )
    database.close()
    database = open_database(address)
    assert differences(database) == []
    token = verify_token(database, f"vx_0123456789ab_{'A' * 43}")
    assert (token.name, token.grants) == ("old", (("read", "lab"),))
    assert begin_session(database, who="x") and save_state(database, "{}", who="x", limits=StateLimits())
    database.close()


def test_every_revision_is_tested():
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(engine.migrations())
    assert sorted(s.revision for s in script.walk_revisions()) == REVISIONS


def test_several_processes_may_open_an_empty_database_at_once(address):
    code = "import sys; from voxarium.serve.database import open_database; open_database(sys.argv[1]).close()"
    started = [subprocess.Popen([sys.executable, "-c", code, address]) for _ in range(4)]
    assert [process.wait(120) for process in started] == [0] * 4
    database = open_database(address)
    assert differences(database) == []
    database.close()


def test_tables_of_a_newer_program_are_left_alone(address):
    database = open_database(address)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(UnsupportedError, match="newer program"):
        open_database(address)


def test_the_file_is_for_its_owner_alone_and_readers_do_not_wait_for_writers(tmp_path):
    database = open_database(str(tmp_path / "new/server.db"))
    assert stat.S_IMODE(os.stat(tmp_path / "new/server.db").st_mode) == 0o600
    with database.writing() as writing:
        writing.execute(sqlalchemy.insert(schema.secrets).values(name="x", value="y"))
        with database.reading() as reading:
            assert reading.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert reading.execute(sqlalchemy.select(schema.secrets)).all() == []
    database.close()


def test_what_cannot_be_opened_says_why_and_tells_no_password(tmp_path):
    for address in ("postgresql://ada:hush@127.0.0.1:1/x", "postgresql+psycopg://ada:hush@127.0.0.1:1/x"):
        with pytest.raises(StoreError) as caught:
            open_database(address)
        assert "hush" not in f"{caught.value} {caught.value.fix}" and "ada" in str(caught.value)
    for address in ("mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://h:port/x"):
        with pytest.raises(InputError):
            open_database(address)
    with pytest.raises(StoreError):
        open_database(str(tmp_path / "none.db"), create=False)
    (tmp_path / "text.db").write_text("this is no database" * 100)
    with pytest.raises(StoreError):
        open_database(str(tmp_path / "text.db"))


def test_the_database_is_named_by_the_environment_or_is_the_users_own(monkeypatch):
    monkeypatch.delenv("VOXARIUM_DATABASE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/ada/.data")
    assert default_database() == "/srv/ada/.data/voxarium/server.db"
    monkeypatch.setenv("VOXARIUM_DATABASE", "postgresql://db/x")
    assert default_database() == "postgresql://db/x"


# ------------------------------------------------------------------------------------------------------------ tokens
def test_tokens_are_random_shown_once_and_only_hashes_are_kept(database, address):
    text, token = create_token(database, "Ada", [("annotate", "lab/em"), ("read", "*")], created_by="user:root")
    other, _ = create_token(database, "Ada", [("read", "lab")])
    assert len(text) == 3 + 12 + 1 + 43 and text != other
    assert token.grants == (("read", "*"), ("annotate", "lab/em"))
    secret = secret_text.split_token(text)[1]
    with database.reading() as connection:
        for table in schema.METADATA.sorted_tables:
            assert secret not in str(connection.execute(sqlalchemy.select(table)).all())
    if "://" not in address:
        with open(address, "rb") as file:
            assert secret.encode() not in file.read()
    assert verify_token(database, text) == token and verify_token(database, other).name == "Ada"


def test_wrong_tokens_are_nobodys(database):
    text, token = create_token(database, "Ada", [("read", "*")])
    wrong = [
        text[:-1],
        text + "A",
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        text.upper(),
        "",
        "vx_",
        f"vx_{token.id}_",
    ]
    wrong += [f"vx_{token.id}_{'A' * 43}", f"vx_{'0' * 12}_{text[-43:]}", token.id, text.replace("vx_", "vy_")]
    assert [verify_token(database, w) for w in wrong] == [None] * len(wrong)


def test_tokens_end_and_are_revoked(database):
    text, token = create_token(database, "Ada", [("read", "*")], expires_at=time.time() + 1000)
    assert token.valid(time.time()) and not token.valid(time.time() + 1001)
    note_use(database, {token.id: 12.0})
    assert list_tokens(database)[0].last_used_at == 12.0
    assert revoke_token(database, token.id, by="user:root").revoked_at is not None
    assert not verify_token(database, text).valid(time.time())
    assert revoke_token(database, text).id == token.id  # the token itself names it too
    with pytest.raises(NotFoundError):
        revoke_token(database, "000000000000")
    assert [e.action for e in list_events(database)] == ["token-revoked", "token-created"]


def test_what_is_done_for_known_and_unknown_ids_is_the_same(database, monkeypatch):
    """No oracle: same statements, and one comparison of the same length, whether an id is known or not."""
    _, token = create_token(database, "Ada", [("read", "*")])
    seen, compared = [], []
    sqlalchemy.event.listen(database.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    real = secret_text.hmac.compare_digest
    monkeypatch.setattr(
        secret_text.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b)
    )
    done = []
    for wrong in (f"vx_{token.id}_{'A' * 43}", f"vx_{'0' * 12}_{'A' * 43}"):
        seen.clear()
        compared.clear()
        assert verify_token(database, wrong) is None
        done.append((list(seen), list(compared)))
    assert done[0] == done[1] and done[0][1] == [(64, 64)]


def test_scopes_that_are_none_are_refused(database):
    with pytest.raises(InputError, match="no scope"):
        create_token(database, "Ada", [("root", "*")])
    assert list_tokens(database) == []


# ------------------------------------------------------------------------------------------------------- audit, rules
@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'x'", "DELETE FROM audit"])
def test_the_audit_log_is_only_appended_to(database, statement):
    record_all(database, [Event("token:x", "read", "lab/em", "192.0.2.1")])
    with pytest.raises(VoxariumError), database.writing() as connection:
        connection.exec_driver_sql(statement)
    assert [(e.who, e.action, e.what, e.client) for e in list_events(database)] == [
        ("token:x", "read", "lab/em", "192.0.2.1")
    ]


def test_the_audit_log_takes_any_text_and_no_token(database):
    text, _ = create_token(database, "Ada", [("read", "*")])
    record_all(database, [Event("w" * 9999, "a\x00\n", f"see {text}", "\ud800".encode("utf-8", "replace").decode())])
    assert secret_text.split_token(text)[1] not in str(list_events(database))
    assert len(list_events(database, most=1)[0].who) == 200
    assert list_events(database, action="nothing") == []


def test_rules_are_set_and_taken_away(database):
    set_rule(database, "lab/em/", True, by="user:root")
    set_rule(database, "*", False)
    set_rule(database, "lab/em", False)
    assert list_rules(database) == {"*": False, "lab/em": False}
    set_rule(database, "lab/em", None)
    assert list_rules(database) == {"*": False}
    with pytest.raises(InputError):
        set_rule(database, "lab/x.h5::/em", False)
    assert [e.action for e in list_events(database)] == ["rule-removed", "made-private", "made-private", "made-public"]


# --------------------------------------------------------------------------------------------------- sessions, states
def test_sessions_are_known_by_a_secret_that_is_not_kept(database, monkeypatch):
    _, token = create_token(database, "Ada", [("read", "lab")], expires_at=time.time() + 60)
    secret = begin_session(database, who=f"token:{token.id}", token=token)
    found = find_session(database, secret)
    assert found.token == token and found.valid(time.time()) and not found.valid(time.time() + 61)
    with database.reading() as connection:
        assert secret not in str(connection.execute(sqlalchemy.select(schema.sessions)).all())
    revoke_token(database, token.id)
    assert not find_session(database, secret).valid(time.time())
    assert find_session(database, "A" * 43) is None
    end_session(database, secret)
    end_session(database, secret)
    assert find_session(database, secret) is None
    begin_session(database, who="user:ada", names=("user:ada", "group:lab"))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 13 * 3600)
    begin_session(database, who="user:ada")
    with database.reading() as connection:
        assert len(connection.execute(sqlalchemy.select(schema.sessions)).all()) == 1


def test_processes_share_what_they_sign_with(database):
    assert server_secret(database) == server_secret(database) and len(server_secret(database)) == 43


def test_states_are_bounded_in_size_and_number(database):
    limits = StateLimits(one=100, own=3, own_bytes=150, all=5, all_bytes=1000)
    names = [save_state(database, f'{{"a": {i}}}', who="ada", limits=limits) for i in range(3)]
    assert get_state(database, names[1]) == '{"a": 1}' and len(set(names)) == 3
    with pytest.raises(FullError):
        save_state(database, "{}", who="ada", limits=limits)
    with pytest.raises(FullError):
        save_state(database, " " * 101, who="eve", limits=limits)
    save_state(database, " " * 90, who="eve", limits=limits)
    with pytest.raises(FullError):
        save_state(database, " " * 90, who="eve", limits=limits)
    save_state(database, "{}", who="bob", limits=limits)
    with pytest.raises(FullError):
        save_state(database, "{}", who="eva", limits=limits)
    assert get_state(database, names[0]) == '{"a": 0}' and get_state(database, "x") is None


def test_many_write_at_once(database):
    problems = []

    def write(n):
        try:
            for i in range(10):
                record_all(database, [Event(f"{n}", "read", f"{i}")])
        except VoxariumError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and len(list_events(database, most=100)) == 60
