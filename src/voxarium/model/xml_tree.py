"""Small XML documents of others, read without following anything: no document types, no entities, bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self
from xml.parsers import expat

from voxarium.errors import Code, FormatError

__all__ = ["Element", "dump_xml", "parse_xml"]

_MAX_BYTES: Final = 256 * 2**20  # projects with many time points reach tens of megabytes
_MAX_DEPTH: Final = 64
_MAX_ELEMENTS: Final = 5_000_000
_DROPPED: Final = {i: None for i in range(32) if i not in (9, 10, 13)}
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"} | _DROPPED)
_QUOTED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": " "} | _DROPPED)


@dataclass(slots=True)
class Element:
    """An element: its name, attributes, children in order, and the text directly inside."""

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def find(self, *path: str) -> Element | None:
        """Return the first element at a path of names; None when there is none."""
        node: Element | None = self
        for name in path:
            node = None if node is None else next((c for c in node.children if c.tag == name), None)
        return node

    def iter(self, tag: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (c for c in self.children if c.tag == tag)

    def content(self, *path: str) -> str:
        """Return the text of the first element at a path, without blanks around; empty when there is none."""
        node = self.find(*path)
        return "" if node is None else node.text.strip()

    def add(self, tag: str, text: str = "", **attributes: str) -> Element:
        """Append a child and return it."""
        child = Element(tag, attributes, text=text)
        self.children.append(child)
        return child

    def having(self, *children: Element) -> Self:
        """Append children; return the element itself."""
        self.children += children
        return self


class _Builder:
    """Builds the tree while the parser walks through the document."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._open: list[Element] = []
        self._count = 0
        self.root: Element | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            self.refuse("is nested too deeply, or has too many elements")
        element = Element(tag, attributes)
        if self._open:
            self._open[-1].children.append(element)
        elif self.root is None:
            self.root = element
        self._open.append(element)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def doctype(self, *_: object) -> None:
        self.refuse("has a document type, through which XML can read other files or grow without bounds")

    def refuse(self, message: str) -> NoReturn:
        raise FormatError(
            f"{self._where} {message}",
            code=Code.METADATA_INVALID,
            fix="remove the document type and write the text without entities",
        )


def parse_xml(raw: bytes, where: str) -> Element:
    """Return the root element of a document.

    Raises
    ------
    FormatError
        If it is no XML, has a document type, or is implausibly large.

    Examples
    --------
    >>> parse_xml(b"<a><b x='1'>text</b></a>", "a.xml").content("b")
    'text'
    """
    if len(raw) > _MAX_BYTES:
        raise FormatError(
            f"{where} has {len(raw)} bytes, more than metadata ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    builder = _Builder(where)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # unknown encodings are a LookupError
        raise FormatError(
            f"{where} is not XML: {error}",
            code=Code.METADATA_INVALID,
            fix="restore the document from a copy; it may be cut off",
        ) from error
    if builder.root is None:
        builder.refuse("holds no element")
    return builder.root


def dump_xml(root: Element) -> bytes:
    """Return a document as indented UTF-8.

    Examples
    --------
    >>> print(dump_xml(Element("a", {"x": "<"}).having(Element("b", text="1 & 2"))).decode())
    <?xml version="1.0" encoding="UTF-8"?>
    <a x="&lt;">
      <b>1 &amp; 2</b>
    </a>
    <BLANKLINE>
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', *_lines(root, "")]
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _lines(element: Element, indent: str) -> Iterator[str]:
    attributes = "".join(f' {k}="{v.translate(_QUOTED)}"' for k, v in element.attributes.items())
    text = element.text.strip().translate(_TEXT)
    if not element.children:
        yield f"{indent}<{element.tag}{attributes}" + (f">{text}</{element.tag}>" if text else "/>")
        return
    yield f"{indent}<{element.tag}{attributes}>{text}"
    for child in element.children:
        yield from _lines(child, indent + "  ")
    yield f"{indent}</{element.tag}>"
