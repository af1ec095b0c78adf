"""Access control of a server: who asks, and what they may. Without it, everything is open to everybody."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from voxarium.errors import VoxariumError
from voxarium.serve.access import Grants, Rules, Visitor
from voxarium.serve.access_file import AccessFile, read_access_file
from voxarium.serve.access_log import AccessLog
from voxarium.serve.answers import Answer, failure
from voxarium.serve.credentials import Credential
from voxarium.serve.limiter import Guesses, network_of

if TYPE_CHECKING:
    from voxarium.serve.database import Database
    from voxarium.serve.database.audit import Event
    from voxarium.serve.site import Settings

__all__ = ["Gate", "open_gate"]

_LOG: Final = logging.getLogger("voxarium.serve")
_FRESH: Final = 5.0  # seconds for which what was looked up holds: so long does a revoked token live
_KEPT: Final = 4096
_NOTED: Final = 3600.0  # seconds until it is noted again that somebody reads a dataset
_USED: Final = 60.0  # seconds between two notes of when a token was used
_MOST_EVENTS: Final = 4096


@dataclass(frozen=True, slots=True)
class _Known:
    """What a credential turned out to be; a wrong one grants nothing and is nobody's."""

    until: float = 0.0
    who: str = ""
    grants: Grants = field(default_factory=Grants)
    token: str | None = None
    valid: bool = False
    real: bool = False


class Gate:
    """Knows visitors by what they bring. Thread-safe.

    Parameters
    ----------
    database : Database
        Tokens, rules, sessions, and the audit log.
    private : bool
        Whether datasets are private that no rule is about.
    file : str or None
        The file about access.
    log : AccessLog or None
        Where the audit log is written too, one JSON document a line.
    """

    def __init__(
        self, database: Database, *, private: bool = False, file: str | None = None, log: AccessLog | None = None
    ) -> None:
        self.database = database
        self._private = private
        self._path = file
        self._log = log
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._guesses = Guesses()
        self._used: dict[str, float] = {}
        self._used_at = monotonic()
        self._read: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._events: list[Event] = []
        self._stamp: object = None
        self._until = 0.0
        self.file = AccessFile() if file is None else read_access_file(file)
        self.rules = Rules(public=False)
        self.refresh()

    # ------------------------------------------------------------------------------------------------------- rules
    @property
    def stale(self) -> bool:
        """Whether rules were looked up some time ago."""
        return monotonic() >= self._until

    def refresh(self) -> None:
        """Look up the rules. May wait for a disk or a network."""
        from voxarium.serve.database.rules import list_rules

        self._reread()
        told: dict[str, bool] = {**self.file.datasets, **list_rules(self.database)}
        public = self._path is None if self.file.public is None else self.file.public
        self.rules = Rules(public=public and not self._private, datasets=told)
        self._until = monotonic() + _FRESH

    def _renew(self) -> None:
        """Look up the rules; while the database does not answer, nobody can change them there."""
        try:
            self.refresh()
        except VoxariumError as error:
            _LOG.error("the rules about datasets cannot be looked up, those from before hold: %s", error)
            self._until = monotonic() + _FRESH

    def _reread(self) -> None:
        """Read the file again when it changed; while it is wrong, what it said before holds."""
        if self._path is None:
            return
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._stamp = stamp
                self.file = read_access_file(self._path)
        except (OSError, VoxariumError) as error:
            _LOG.error("the file about access cannot be used, what it said before holds: %s", error)

    # ----------------------------------------------------------------------------------------------------- visitors
    def kept(self, credential: Credential | None) -> bool:
        """Tell whether a visitor can be told without looking anything up."""
        if self.stale:
            return False
        known = None if credential is None else self._known.get(_key(credential))
        return credential is None or (known is not None and monotonic() < known.until)

    def visitor(self, credential: Credential | None, client: str, prefix: str = "") -> Visitor | Answer:
        """Return who asks; or what is answered to somebody whose token is wrong. May wait unless `kept`.

        Parameters
        ----------
        credential : Credential or None
            What they bring.
        client : str
            Where they are.
        prefix : str
            What stands before their paths.
        """
        if self.stale:
            self._renew()
        if credential is None:
            return Visitor(rules=self.rules, client=client)
        network = network_of(client)
        wait = self._guesses.wait(network)
        if wait:
            return failure(429, "too many wrong tokens", [(b"retry-after", b"%d" % math.ceil(wait))])
        known = self._lookup(credential)
        if not known.valid and not known.real:
            self._count_guess(credential, network, client)
        if known.valid:
            if known.token is not None:
                self._used[known.token] = time.time()
            return Visitor(rules=self.rules, grants=known.grants, who=known.who, client=client, prefix=prefix)
        if credential.kind == "cookie":  # a session that ended: they may sign in again
            return Visitor(rules=self.rules, client=client)
        headers = [(b"www-authenticate", b'Bearer error="invalid_token"')]
        return failure(401, "the token is not valid, or no longer", headers)

    def _count_guess(self, credential: Credential, network: str, client: str) -> None:
        if self._guesses.add(network, _key(credential).hex()):
            self.note("", "wrong-token", credential.kind, client)

    def _lookup(self, credential: Credential) -> _Known:
        key = _key(credential)
        with self._lock:
            known = self._known.get(key)
        if known is not None and monotonic() < known.until:
            return known
        known = self._found(credential)
        with self._lock:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known

    def _found(self, credential: Credential) -> _Known:
        from voxarium.serve.database.sessions import find_session
        from voxarium.serve.database.tokens import verify_token

        now, until = time.time(), monotonic() + _FRESH
        if credential.kind == "cookie":
            session = find_session(self.database, credential.secret)
            if session is None:
                return _Known(until)
            if session.token is None:
                grants, token = self.file.grants(session.names), None
            else:
                grants, token = Grants.of(session.token.grants), session.token.id
            return _Known(until, session.who, grants, token, valid=session.valid(now), real=True)
        found = verify_token(self.database, credential.secret)
        if found is None:
            return _Known(until)
        who = f"token:{found.id}"
        return _Known(until, who, Grants.of(found.grants), found.id, valid=found.valid(now), real=True)

    def forget(self, credential: Credential) -> None:
        """Look a credential up anew when it comes again."""
        with self._lock:
            self._known.pop(_key(credential), None)

    # -------------------------------------------------------------------------------------------------------- audit
    def note(self, who: str, action: str, what: str, client: str) -> None:
        """Append to the audit log, a moment later; what is too much at a time is left out."""
        from voxarium.serve.database.audit import Event

        with self._lock:
            if len(self._events) < _MOST_EVENTS:
                self._events.append(Event(who, action, what, client))

    def note_read(self, visitor: Visitor, address: str) -> None:
        """Note, once an hour, that somebody reads what not everybody may."""
        if not visitor.who or visitor.rules.public(address):
            return
        place = visitor.grants.holding(address)
        key = (visitor.who, place or "*")
        now = monotonic()
        if now < self._read.get(key, 0.0):
            return
        with self._lock:
            self._read[key] = now + _NOTED
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        self.note(visitor.who, "read", key[1], visitor.client)

    def flush(self, *, last: bool = False) -> None:
        """Write what is to be noted. May wait."""
        from voxarium.serve.database.audit import record_all
        from voxarium.serve.database.tokens import note_use

        with self._lock:
            events, self._events = self._events, []
        try:
            if events:
                record_all(self.database, events)
                if self._log is not None:
                    for event in events:
                        self._log.write({"log": "audit", **event.document()})
            if self._used and (last or monotonic() >= self._used_at + _USED):
                used, self._used = self._used, {}
                self._used_at = monotonic()
                note_use(self.database, used)
        except VoxariumError as error:  # a full disk is no reason to stop serving
            _LOG.error("the audit log cannot be written: %s", error)

    @property
    def pending(self) -> bool:
        """Whether there is something to flush."""
        return bool(self._events or self._used)

    def close(self) -> None:
        """Write the rest, and close the database."""
        self.flush(last=True)
        if self._log is not None:
            self._log.close()
        self.database.close()


def _key(credential: Credential) -> bytes:
    kind = b"c" if credential.kind == "cookie" else b"t"
    return hashlib.sha256(kind + credential.secret.encode("ascii", "replace")).digest()


def open_gate(settings: Settings) -> Gate | None:
    """Return the access control that settings ask for; None where they ask for none.

    Raises
    ------
    UnsupportedError
        If what it needs is not installed.
    InputError, StoreError
        If its file or database cannot be used.
    """
    if not settings.guarded:
        return None
    from voxarium.serve.database import default_database, open_database

    log = None if settings.audit_log is None else AccessLog(settings.audit_log)
    database = open_database(settings.database or default_database())
    try:
        return Gate(database, private=settings.private, file=settings.access, log=log)
    except BaseException:
        database.close()
        raise
