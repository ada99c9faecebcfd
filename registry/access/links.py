"""Identities of elsewhere, looked after by administrators: who is whom here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select

from registry.access.actors import Actor, Kind
from registry.access.arrivals import insert_identity
from registry.access.authorizer import Action, Authorizer
from registry.access.providers import Providers
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import BrowserLogin, Identity, LoginRequest, Principal
from registry.errors import IdentityTaken, IdentityUnknown, PrincipalInvalid, PrincipalUnknown

MAX_SUBJECT = 255
_IDENTITY, _BROWSER, _REQUEST = table(Identity), table(BrowserLogin), table(LoginRequest)
_SHOWN = select(
    Identity.id,
    Principal.name.label("owner"),
    Identity.issuer,
    Identity.subject,
    Identity.actor,
    Identity.created_ms,
    Identity.last_login_ms,
).join(Principal, Principal.id == Identity.principal_id)
_OF = _SHOWN.where(Principal.name == bindparam("owner")).order_by(Identity.id)
_BY_ID = _SHOWN.where(Identity.id == bindparam("id"))
_BY_SUBJECT = _SHOWN.where(Identity.issuer == bindparam("issuer"), Identity.subject == bindparam("subject"))
_OWNER = select(Principal.id, Principal.namespace).where(Principal.name == bindparam("owner"))


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A subject of an issuer, and whose it is here; times are in milliseconds."""

    id: int
    owner: str
    issuer: str
    subject: str
    actor: str
    created_ms: int
    last_login_ms: int | None


class LinkService:
    """Links users to identities of providers, for who may administer the registry."""

    def __init__(self, database: Database, authorizer: Authorizer, providers: Providers) -> None:
        """Keep links in ``database``; ``providers`` are those that people know by name."""
        self._database = database
        self._authorizer = authorizer
        self._providers = providers

    def provider_of(self, row: IdentityRow) -> str:
        """Return the provider of an identity, empty where no setting names its issuer any more."""
        return next((name for name, one in self._providers.all.items() if one.issuer == row.issuer), "")

    def list(self, actor: Actor, owner: str) -> Sequence[IdentityRow]:
        """Return the identities of a user, oldest first; raises :class:`PrincipalUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, owner)
        with self._database.read() as connection:
            self._owner(connection, owner)
            return [IdentityRow(*row) for row in connection.execute(_OF, {"owner": owner})]

    def link(self, actor: Actor, owner: str, provider: str, subject: str) -> IdentityRow:
        """Let a subject of a provider log in as a user.

        Raises :class:`~registry.errors.ProviderUnknown`, :class:`PrincipalUnknown`, :class:`PrincipalInvalid`,
        :class:`IdentityTaken`.
        """
        self._authorizer.require(actor, Action.ADMIN, None, owner)
        issuer = self._providers.find(provider).issuer
        if not 1 <= len(subject) <= MAX_SUBJECT or not subject.isprintable():
            raise PrincipalInvalid(f"a subject is 1 to {MAX_SUBJECT} printable characters", detail={"field": "subject"})

        def work(connection: Connection) -> IdentityRow:
            owner_id = self._owner(connection, owner)
            taken = connection.execute(_BY_SUBJECT, {"issuer": issuer, "subject": subject}).first()
            if taken is not None:
                raise IdentityTaken(
                    f"{subject} of {provider} is {taken.owner} here: moorage user unlink {taken.owner} {taken.id}",
                    detail={"owner": taken.owner, "id": taken.id},
                )
            made = insert_identity(self._database, connection, owner_id, issuer, subject, actor.principal)
            write(self._database, connection, actor, "user.linked", owner, {"issuer": issuer, "subject": subject})
            return IdentityRow(*connection.execute(_BY_ID, {"id": made}).one())

        return self._database.write(work)

    def unlink(self, actor: Actor, owner: str, identity: int) -> None:
        """Let an identity log in as a user no more; keys that it has go on. Raises :class:`IdentityUnknown`."""
        self._authorizer.require(actor, Action.ADMIN, None, owner)

        def work(connection: Connection) -> None:
            row = connection.execute(_BY_ID, {"id": identity}).first()
            if row is None or row.owner != owner:
                raise IdentityUnknown(f"{owner} has no identity {identity}", detail={"owner": owner, "id": identity})
            connection.execute(delete(_IDENTITY).where(_IDENTITY.c.id == identity))
            told = {"issuer": row.issuer, "subject": row.subject}
            write(self._database, connection, actor, "user.unlinked", owner, told)
            owner_id = self._owner(connection, owner)
            for under_way in (_BROWSER, _REQUEST):  # what it has just got, but nobody has taken yet
                connection.execute(delete(under_way).where(under_way.c.principal_id == owner_id))

        self._database.write(work)

    @staticmethod
    def _owner(connection: Connection, owner: str) -> int:
        row = connection.execute(_OWNER, {"owner": owner}).first()
        if row is None or row.namespace is not None or Actor(owner).kind is not Kind.USER:
            raise PrincipalUnknown(f"there is no user {owner[:128]!r}", detail={"name": owner[:128]})
        return int(row.id)
