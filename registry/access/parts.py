"""The parts of access, wired for one app."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from registry.access.authentication import Authenticator
from registry.access.authorizer import Authorizer, PolicyAuthorizer
from registry.access.explaining import AccessExplainer
from registry.access.external import ExternalTerms, ExternalTokens
from registry.access.federation import Federation
from registry.access.first import FirstAdministrator
from registry.access.granting import TokenService
from registry.access.htpasswd import HtpasswdFile
from registry.access.identity import IdentityService
from registry.access.issuers import Getting, Issuers
from registry.access.keys import KeyService
from registry.access.policies import PolicyService
from registry.access.principals import PrincipalService
from registry.access.secrets import Passwords
from registry.access.standing import Standings
from registry.access.teams import TeamService
from registry.access.throttle import Throttle
from registry.access.token_keys import TokenKeys
from registry.access.tokens import LEEWAY_SECONDS, LIVES_SECONDS, Tokens
from registry.access.trusts import TrustService
from registry.db.engine import Database


@dataclass(frozen=True, slots=True)
class AccessTerms:
    """How access is set up: whether anybody is asked who they are, for whom tokens are, and the file of users.

    ``audience`` is what tokens of other issuers are for where a trust does not say so; empty: it must. ``external`` is
    a token service elsewhere, whose tokens are taken as well.
    """

    authentication: bool = False
    service: str = "moorage"
    htpasswd: Path | None = None
    token_seconds: int = LIVES_SECONDS
    audience: str = ""
    external: ExternalTerms | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The services of access; without authentication there is no ``authenticator``, and no tokens are given."""

    terms: AccessTerms
    authorizer: Authorizer
    authenticator: Authenticator | None
    principals: PrincipalService
    teams: TeamService
    keys: KeyService
    policies: PolicyService
    tokens: TokenService
    token_keys: TokenKeys
    explainer: AccessExplainer
    identities: IdentityService
    first: FirstAdministrator
    issuers: Issuers
    trusts: TrustService
    federation: Federation


def wire_access(database: Database, terms: AccessTerms, egress: Getting) -> Access:
    """Wire access over one database; issuers of tokens are asked through ``egress``."""
    htpasswd, passwords = HtpasswdFile(terms.htpasswd), Passwords()
    standings = Standings(database, htpasswd)
    policy = PolicyAuthorizer(standings, database.clock_ms)
    authorizer: Authorizer = policy if terms.authentication else Authorizer()
    token_keys = TokenKeys(database, authorizer, kept_ms=(terms.token_seconds + 2 * LEEWAY_SECONDS) * 1000)
    tokens = Tokens(token_keys, terms.service, terms.token_seconds, database.clock_ms)
    issuers = Issuers(egress, database.clock_ms)
    federation = Federation(standings, issuers, authorizer, database.clock_ms)
    external = None if terms.external is None else ExternalTokens(terms.external, egress, database.clock_ms)
    authenticator = Authenticator(
        database, standings, tokens, passwords, Throttle(database), htpasswd, federation, external
    )
    if terms.authentication:
        database.confirm = policy.confirm
    return Access(
        terms,
        authorizer,
        authenticator if terms.authentication else None,
        PrincipalService(database, authorizer, passwords),
        TeamService(database, authorizer),
        KeyService(database, authorizer),
        PolicyService(database, authorizer),
        TokenService(database, authorizer, standings, tokens),
        token_keys,
        AccessExplainer(database, authorizer, policy, standings),
        IdentityService(database, standings),
        FirstAdministrator(database, passwords),
        issuers,
        TrustService(database, authorizer, terms.audience),
        federation,
    )
