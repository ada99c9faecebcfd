"""Who logs in elsewhere: identities that others vouch for, and logins that are under way."""

from __future__ import annotations

from sqlalchemy import BigInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import (
    NEVER_REUSED,
    Actor,
    Base,
    Id,
    MaybeMilliseconds,
    Milliseconds,
    Name,
    reference,
)


class Identity(Base):
    """Whom an issuer's subject is here; an e-mail address or a name of elsewhere is never what binds them."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject", name="uq_identity_issuer_subject"), NEVER_REUSED)

    id: Mapped[Id]
    principal_id: Mapped[int] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    issuer: Mapped[Name]
    subject: Mapped[Name]
    actor: Mapped[Actor]
    created_ms: Mapped[Milliseconds]
    last_login_ms: Mapped[MaybeMilliseconds]


class LoginRequest(Base):
    """A command line that asks to be logged in: it polls with a secret, of which ``poll`` is the SHA-256.

    ``host`` is what it says of itself, ``address`` from where it asked, ``source`` the network that this counts as.
    Once somebody allows it, ``principal_id`` says who.
    """

    __tablename__ = "login_request"

    poll: Mapped[Name] = mapped_column(primary_key=True)
    user_code: Mapped[Name] = mapped_column(unique=True)
    host: Mapped[Name]
    address: Mapped[Name]
    source: Mapped[Name]
    lives_ms: Mapped[int] = mapped_column(BigInteger)
    principal_id: Mapped[int | None] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    denied: Mapped[bool] = mapped_column(default=False)
    interval_ms: Mapped[int]
    polled_ms: Mapped[MaybeMilliseconds]
    created_ms: Mapped[Milliseconds]
    expires_ms: Mapped[Milliseconds] = mapped_column(index=True)


class BrowserLogin(Base):
    """A browser that was sent to a provider; ``browser`` and ``state`` are the SHA-256 of what it brings back.

    ``state`` goes once it was used; then ``principal_id`` says who logged in, who is asked whether ``request`` may act
    as them. Without a request it is the browser itself that wants a key.
    """

    __tablename__ = "browser_login"

    id: Mapped[Id]
    browser: Mapped[Name] = mapped_column(unique=True)
    state: Mapped[Name | None] = mapped_column(unique=True)
    provider: Mapped[Name]
    nonce: Mapped[Name]
    verifier: Mapped[Name]
    request: Mapped[Name | None] = mapped_column(reference("login_request.poll", cascade=True), index=True)
    principal_id: Mapped[int | None] = mapped_column(BigInteger, reference("principal.id", cascade=True), index=True)
    source: Mapped[Name]
    expires_ms: Mapped[Milliseconds] = mapped_column(index=True)
