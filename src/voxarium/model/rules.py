"""What a rule is, what a check finds, and which findings count in which profile.

Rules live beside the specification they belong to, as tables in plain text (`rules`): what is demanded, why, how to
mend it, and an example that breaks it. Documentation and tests are made from these tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from voxarium.errors import Code, InputError
from voxarium.model.edits import Edit, parse_edit

__all__ = [
    "DEPTHS",
    "PROFILES",
    "Basis",
    "Depth",
    "Example",
    "Finding",
    "Level",
    "Needs",
    "Profile",
    "Rule",
    "counting",
    "rules",
]

Level = Literal["must", "should", "quality"]
# Who says so: schema and text alike, the text of the specification alone, the JSON Schema against the text, this
# library about any data, or this library about what is to be published.
Basis = Literal["both", "text", "schema", "house", "publish"]
Profile = Literal["schema", "schema-strict", "spec", "strict", "quality", "publish"]
Depth = Literal["document", "hierarchy", "census", "data"]
# What has to be known to check a rule; "nothing": it addresses readers and writers, or authors of the specification.
Needs = Literal["document", "attributes", "arrays", "hierarchy", "census", "data", "nothing"]

DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

_SCHEMA: Final = frozenset[Basis]({"both", "schema"})
_TEXT: Final = frozenset[Basis]({"both", "text", "house"})
_MUST: Final = frozenset[Level]({"must"})
_SHOULD: Final = frozenset[Level]({"must", "should"})
_COUNTS: Final[Mapping[Profile, tuple[frozenset[Basis], frozenset[Level]]]] = MappingProxyType(
    {
        "schema": (_SCHEMA, _MUST),
        "schema-strict": (_SCHEMA, _SHOULD),
        "spec": (_TEXT, _MUST),
        "strict": (_TEXT, _SHOULD),
        "quality": (_TEXT, _SHOULD | {"quality"}),
        "publish": (_TEXT | {"publish"}, _MUST),
    }
)
_DEPTH_OF: Final[Mapping[Needs, Depth]] = MappingProxyType(
    {
        "document": "document",
        "attributes": "document",
        "arrays": "hierarchy",
        "hierarchy": "hierarchy",
        "census": "census",
        "data": "data",
        "nothing": "data",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One breach of one rule at one place.

    Parameters
    ----------
    rule : str
        Id, for rules that differ between versions with the version: ``OZ05-MS-004``.
    level : str
        ``must``, ``should`` or ``quality``.
    key : str
        Key of the object in the store; empty for all of what is checked.
    pointer : str
        JSON pointer (RFC 6901) into the document; empty for the whole document, or where the object is no document.
    message, fix : str
        What is wrong, and what would be right.
    expected, found : JSON or None
        What should be there and what is, where that can be said in a value.
    basis : str
        Who says so: see `Basis`.
    repair : tuple of Edit
        What would mend it without touching a voxel, where that is certain.
    """

    rule: str
    level: Level
    pointer: str
    message: str
    fix: str
    basis: Basis = "both"
    key: str = ""
    expected: Any = None  # Any: JSON
    found: Any = None  # Any: JSON
    repair: tuple[Edit, ...] = ()

    def counts(self, profile: Profile) -> bool:
        """Tell whether the finding makes what it is about invalid in this profile."""
        bases, levels = _COUNTS[profile]
        return self.basis in bases and self.level in levels

    def at(self, key: str) -> Finding:
        """Return the same finding about another object."""
        return replace(self, key=key)


def counting(findings: Iterable[Finding], profile: Profile) -> tuple[Finding, ...]:
    """Return the findings that count in a profile; what has none is valid there."""
    return tuple(f for f in findings if f.counts(profile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A small tree that breaks a rule: one that breaks none, and what is changed in it."""

    base: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A demand, in our words.

    Parameters
    ----------
    id : str
        Area and number, such as ``MS-004``.
    text : str
        What it demands.
    levels : mapping of str to str
        ``must``, ``should`` or ``quality`` per set of rules it belongs to, the empty text where there is one set only;
        a version that is not named does not have the rule.
    needs : str
        What has to be known to check it.
    basis : str
        Who says so, unless a finding says otherwise.
    why, mend : str
        What goes wrong without it, and how to correct what breaks it.
    examples : tuple of Example
        Trees that break it.
    family : str
        What stands before the version in full ids; empty where ids have none.
    """

    id: str
    text: str
    levels: Mapping[str, Level]
    needs: Needs
    basis: Basis = "both"
    why: str = ""
    mend: str = ""
    examples: tuple[Example, ...] = ()
    family: str = ""

    @property
    def depth(self) -> Depth:
        """How deep one has to look to check it."""
        return _DEPTH_OF[self.needs]

    def full_id(self, version: str = "") -> str:
        """Return the id with a version: ``OZ05-MS-004``."""
        return f"{self.family}{version.replace('.', '')[:2]}-{self.id}" if self.family and version else self.id


def rules(
    table: str, *, family: str = "", versions: tuple[str, ...] = ("",), basis: Basis = "both"
) -> tuple[Rule, ...]:
    """Return the rules of a table.

    A rule begins with a line ``ID must=0.4,0.5 should=0.6 needs=arrays basis=text``; ``all`` stands for every version,
    and a bare ``must`` for ``must=all``. What is needed are attributes unless the line says otherwise. Indented lines
    below it are its text, and after one of these words: ``why:``, ``mend:``, ``bad:`` (a base and an edit, see
    `voxarium.model.edits.parse_edit`), ``and:`` (a further edit of the same example).

    Examples
    --------
    >>> found = rules('''
    ... XX-001 must needs=census
    ...     Chunks have names that the grid makes.
    ...     why: Readers never look at others.
    ...     mend: Remove it.
    ...     bad: zarr3 c/9/9/9 = "junk"
    ... ''')
    >>> found[0].id, found[0].text, found[0].why, found[0].examples[0].base
    ('XX-001', 'Chunks have names that the grid makes.', 'Readers never look at others.', 'zarr3')
    """
    out: list[Rule] = []
    head: list[str] = []
    parts: list[list[str]] = []
    for line in [*table.strip("\n").splitlines(), "end"]:
        if line.startswith(" "):
            _take(line.strip(), parts)
        elif line:
            if head:
                out.append(_rule(head, [" ".join(p) for p in parts], family, versions, basis))
            head, parts = line.split(), [["text:"]]
    return tuple(out)


_WORDS: Final = ("why:", "mend:", "bad:", "and:")


def _take(line: str, parts: list[list[str]]) -> None:
    word, _, rest = line.partition(" ")
    if word in _WORDS:
        parts.append([word, rest])
    else:
        parts[-1].append(line)


def _rule(head: list[str], parts: list[str], family: str, versions: tuple[str, ...], basis: Basis) -> Rule:
    facts = dict(fact.partition("=")[::2] for fact in head[1:])
    levels: dict[str, Level] = {}
    for level in get_args(Level):
        if level in facts:
            levels |= dict.fromkeys(_versions(facts[level], versions), level)
    said = {"text:": "", "why:": "", "mend:": ""}
    examples: list[Example] = []
    for part in parts:
        word, _, rest = part.partition(" ")
        if word == "bad:":
            base, _, edit = rest.partition(" ")
            examples.append(Example(base=base, edits=(parse_edit(edit),)))
        elif word == "and:":
            examples[-1] = replace(examples[-1], edits=(*examples[-1].edits, parse_edit(rest)))
        else:
            said[word] = rest.strip()
    return Rule(
        id=head[0],
        text=said["text:"],
        levels=MappingProxyType(levels),
        needs=_one_of(facts.get("needs", "attributes"), Needs),
        basis=_one_of(facts.get("basis", basis), Basis),
        why=said["why:"],
        mend=said["mend:"],
        examples=tuple(examples),
        family=family,
    )


def _one_of(text: str, kind: Any) -> Any:  # Any: a Literal, and one of its values
    if text in get_args(kind):
        return text
    raise InputError(f"{text!r} is none of {get_args(kind)}", code=Code.ARGUMENT_INVALID, fix="correct the table")


def _versions(text: str, every: tuple[str, ...]) -> tuple[str, ...]:
    return every if text in ("", "all") else tuple(v for v in text.split(",") if v)
