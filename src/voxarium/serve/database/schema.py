"""The tables as they are now; how they came to be: ``migrations/``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Integer, MetaData, String, Table, Text

__all__ = ["METADATA", "audit", "grants", "rules", "secrets", "sessions", "states", "tokens"]

METADATA: Final = MetaData()

tokens: Final = Table(
    "tokens",
    METADATA,
    Column("id", String(12), primary_key=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of the secret part, which has 256 random bits
    Column("name", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created_at", Double, nullable=False),  # seconds since 1970, here and below
    Column("created_by", String(200), nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
)
grants: Final = Table(
    "grants",
    METADATA,
    Column("token_id", String(12), ForeignKey("tokens.id"), primary_key=True),
    Column("address", String(1024), primary_key=True),
    Column("scope", String(16), nullable=False),
)
rules: Final = Table(
    "rules",
    METADATA,
    Column("address", String(1024), primary_key=True),
    Column("public", Boolean, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("changed_by", String(200), nullable=False),
)
audit: Final = Table(
    "audit",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("who", String(200), nullable=False),
    Column("action", String(40), nullable=False),
    Column("what", String(1024), nullable=False),
    Column("client", String(64), nullable=False),
)
states: Final = Table(
    "states",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("text", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", String(200), nullable=False, index=True),
)
sessions: Final = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("token_id", String(12), ForeignKey("tokens.id")),
    Column("who", String(200), nullable=False),
    Column("names", Text, nullable=False),  # JSON: under which grants are looked up in the file about access
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)
secrets: Final = Table(
    "secrets",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", String(200), nullable=False),
)
