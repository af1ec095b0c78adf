"""A log under any sequence of writers, faults, removals and signatures, against what was acknowledged."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.keys import SigningKey
from voxarium.archive.log_checks import check_log
from voxarium.archive.log_reading import LogReader
from voxarium.archive.provenance import ProvenanceLog
from voxarium.archive.redaction import remove_payloads
from voxarium.errors import StoreError
from voxarium.model.provenance import Activity, Agent
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.memory import MemoryStore

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519", reason="makes signatures")


class LogMachine(RuleBasedStateMachine):
    """Several writers on one store; each may be told of errors that were none, and may be old."""

    writers = Bundle("writers")

    def __init__(self):
        super().__init__()
        self.store = MemoryStore()
        self.key = SigningKey("model", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.acknowledged: dict[int, str] = {}
        self.unclear: set[str] = set()
        self.kept: list[tuple[str, bytes]] = []
        self.removed: set[str] = set()
        self.count = 0

    @initialize(target=writers)
    def first_writer(self):
        log = ProvenanceLog(self.store)
        self.append(log)  # its random write_id is the id of the log
        return log

    @rule(target=writers, kind=st.sampled_from(["error", "lost-answer"]), nth=st.integers(1, 12))
    def writer_on_a_bad_line(self, kind, nth):
        return ProvenanceLog(FaultStore(self.store, [FaultRule(kind=kind, nth=nth)]))

    @rule(log=writers)
    def append(self, log):
        self.count += 1
        note = f"note {self.count}"
        try:
            entry = log.append(Activity(operation="fix", note=note, agent=Agent("x")))
        except StoreError:
            self.unclear.add(note)
            return
        assert entry.sequence not in self.acknowledged
        self.acknowledged[entry.sequence] = note

    @rule(log=writers, write_id=st.sampled_from(["aa" * 16, "bb" * 16]))
    def append_again(self, log, write_id):
        try:
            entry = log.append(Activity(operation="audit"), write_id=write_id)
            assert entry.write_id == write_id
        except StoreError:
            pass

    @rule(log=writers, data=st.data())
    def remove(self, log, data):
        if not self.acknowledged:
            return
        sequence = data.draw(st.sampled_from(sorted(self.acknowledged)))
        note = self.acknowledged[sequence]
        for attempt in (log, ProvenanceLog(self.store)):
            try:
                remove_payloads(attempt, sequence, ["note"])
            except StoreError:
                continue
            break
        self.removed.add(note)

    @rule()
    def sign(self):
        if self.acknowledged:
            self.kept.append((f"kept {len(self.kept)}", sign_checkpoint(ProvenanceLog(self.store), self.key)))

    @invariant()
    def the_log_is_intact_and_nothing_acknowledged_is_lost(self):
        reader = LogReader(self.store)
        report = check_log(reader, kept=self.kept, keys=[self.key.public] if self.kept else [])
        assert report.ok, report.problems
        found = {a.sequence: a.activity.note for a in reader.activities() if a.activity.operation == "fix"}
        for sequence, note in self.acknowledged.items():
            assert found[sequence] == ("" if note in self.removed else note)
        others = [note for sequence, note in found.items() if sequence not in self.acknowledged]
        assert set(others) <= self.unclear and len(others) == len(set(others))
        twice = [e.write_id for e in reader.entries()]
        assert len(twice) == len(set(twice))


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLog = LogMachine.TestCase
