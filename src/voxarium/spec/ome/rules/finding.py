"""What a check finds, what a rule is, and which findings count in which profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

__all__ = ["PROFILES", "VERSIONS", "Basis", "Finding", "Level", "Needs", "Profile", "Rule", "counting", "rules"]

Level = Literal["must", "should"]
# Who says so: schema and text alike, the text of the specification alone, or the JSON Schema against the text.
Basis = Literal["both", "text", "schema"]
Profile = Literal["schema", "schema-strict", "spec", "strict"]
# What has to be known to check a rule; "nothing": it addresses readers and writers, or authors of the specification.
Needs = Literal["document", "attributes", "arrays", "hierarchy", "data", "nothing"]

VERSIONS: Final = ("0.4", "0.5", "0.6", "0.9")  # the sets of rules; 0.9 are the drafts on the way to 1.0
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)
_COUNTS: Final[Mapping[Profile, tuple[frozenset[Basis], frozenset[Level]]]] = MappingProxyType(
    {
        "schema": (frozenset({"both", "schema"}), frozenset({"must"})),
        "schema-strict": (frozenset({"both", "schema"}), frozenset({"must", "should"})),
        "spec": (frozenset({"both", "text"}), frozenset({"must"})),
        "strict": (frozenset({"both", "text"}), frozenset({"must", "should"})),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One breach of one rule at one place.

    Parameters
    ----------
    rule : str
        Id with version, such as ``OZ05-MS-004``.
    level : str
        ``must`` or ``should``.
    pointer : str
        JSON pointer (RFC 6901) into the attributes; empty for the whole document.
    message, fix : str
        What is wrong, and what would be right.
    basis : str
        Who says so: ``both`` the official JSON Schema and the text, the ``text`` alone, or the ``schema`` alone.
    """

    rule: str
    level: Level
    pointer: str
    message: str
    fix: str
    basis: Basis = "both"

    def counts(self, profile: Profile) -> bool:
        """Tell whether the finding makes a document invalid in this profile."""
        bases, levels = _COUNTS[profile]
        return self.basis in bases and self.level in levels


def counting(findings: Iterable[Finding], profile: Profile) -> tuple[Finding, ...]:
    """Return the findings that count in a profile; a document without any is valid there."""
    return tuple(f for f in findings if f.counts(profile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A demand of the specification, in our words.

    Parameters
    ----------
    id : str
        Area and number, such as ``MS-004``.
    text : str
        What it demands.
    levels : mapping of str to str
        ``must`` or ``should`` per set of rules it belongs to; a version that is not named does not have the rule.
    needs : str
        What has to be known to check it.
    """

    id: str
    text: str
    levels: Mapping[str, Level]
    needs: Needs

    def full_id(self, version: str) -> str:
        """Return the id with a version: ``OZ05-MS-004``."""
        return f"OZ{version.replace('.', '')[:2]}-{self.id}"


def rules(table: str) -> tuple[Rule, ...]:
    """Return the rules of a table: a line ``ID must=0.4,0.5 should=0.6 needs=arrays``, and below it its text.

    ``all`` stands for every version; what is needed are attributes unless the line says otherwise.
    """
    heads: list[list[str]] = []
    texts: list[list[str]] = []
    for line in table.strip("\n").splitlines():
        if line.startswith(" "):
            texts[-1].append(line.strip())
        else:
            heads.append(line.split())
            texts.append([])
    return tuple(_rule(head, " ".join(text)) for head, text in zip(heads, texts, strict=True))


def _rule(head: list[str], text: str) -> Rule:
    facts = dict(fact.split("=") for fact in head[1:])
    levels: dict[str, Level] = dict.fromkeys(_versions(facts.get("must", "")), "must")
    levels |= dict.fromkeys(_versions(facts.get("should", "")), "should")
    needs = next(n for n in get_args(Needs) if n == facts.get("needs", "attributes"))
    return Rule(id=head[0], text=text, levels=MappingProxyType(levels), needs=needs)


def _versions(text: str) -> tuple[str, ...]:
    return VERSIONS if text == "all" else tuple(v for v in text.split(",") if v)
