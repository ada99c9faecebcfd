"""Who may ask: principals, their credentials, the rules of the policy, and what guards the door."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import (
    NEVER_REUSED,
    Actor,
    Base,
    Id,
    LongText,
    MaybeMilliseconds,
    Milliseconds,
    Name,
    reference,
)


class AccessState(Base):
    """One row: ``revision`` goes up with every change of anything about access, in its transaction."""

    __tablename__ = "access_state"

    id: Mapped[Id]
    revision: Mapped[int] = mapped_column(BigInteger)


class Principal(Base):
    """A user or, with a namespace, a robot.

    ``source`` says who vouches for it: ``local`` (the password here), ``htpasswd``, or another. Tokens given before
    ``valid_from_ms`` are dead.
    """

    __tablename__ = "principal"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    namespace: Mapped[Name | None]
    source: Mapped[Name]
    password_hash: Mapped[LongText] = mapped_column(default="")
    disabled: Mapped[bool] = mapped_column(default=False)
    valid_from_ms: Mapped[Milliseconds]
    description: Mapped[LongText] = mapped_column(default="")
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]
    updated_ms: Mapped[Milliseconds]


class Team(Base):
    """A group of principals that rules can name."""

    __tablename__ = "team"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    description: Mapped[LongText] = mapped_column(default="")
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]


class TeamMember(Base):
    """A principal in a team."""

    __tablename__ = "team_member"

    team_id: Mapped[int] = mapped_column(BigInteger, reference("team.id", cascade=True), primary_key=True)
    principal_id: Mapped[int] = mapped_column(
        BigInteger, reference("principal.id", cascade=True), primary_key=True, index=True
    )


class ApiKey(Base):
    """A key of a principal: ``prefix`` is shown, of the whole a SHA-256 is kept. ``scopes`` is a JSON list."""

    __tablename__ = "api_key"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]
    principal_id: Mapped[int] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    name: Mapped[Name]
    prefix: Mapped[Name] = mapped_column(unique=True)
    hash: Mapped[Name]
    scopes: Mapped[LongText]
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]
    expires_ms: Mapped[MaybeMilliseconds]
    last_used_ms: Mapped[MaybeMilliseconds]


class Trust(Base):
    """Which tokens of another issuer speak for a robot; ``definition`` is the JSON text of what it says."""

    __tablename__ = "trust"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    principal_id: Mapped[int] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    definition: Mapped[LongText]
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]


class RefreshToken(Base):
    """What a client got to have tokens anew without a password; a SHA-256 of it is kept."""

    __tablename__ = "refresh_token"

    hash: Mapped[Name] = mapped_column(primary_key=True)
    principal_id: Mapped[int] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    key_id: Mapped[int | None] = mapped_column(BigInteger, reference("api_key.id", cascade=True), index=True)
    client: Mapped[Name]
    created_ms: Mapped[Milliseconds]
    expires_ms: Mapped[Milliseconds] = mapped_column(index=True)


class AccessRule(Base):
    """A rule of the policy; ``definition`` is the JSON text of what it says."""

    __tablename__ = "access_rule"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    definition: Mapped[LongText]
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]
    updated_ms: Mapped[Milliseconds]


class TokenKey(Base):
    """A private key that signs tokens; one that was ``retired`` only proves what it signed before."""

    __tablename__ = "token_key"

    id: Mapped[Name] = mapped_column(primary_key=True)
    private_pem: Mapped[LongText]
    created_ms: Mapped[Milliseconds]
    retired_ms: Mapped[MaybeMilliseconds]


class LoginFailure(Base):
    """Wrong passwords in a row, of a name from an address, or (``name`` empty) from an address as a whole."""

    __tablename__ = "login_failure"
    __table_args__ = (Index("ix_login_failure_last", "last_ms"),)

    address: Mapped[Name] = mapped_column(primary_key=True)
    name: Mapped[Name] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last_ms: Mapped[Milliseconds]
