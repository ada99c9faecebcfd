"""The parts of access, wired for one app."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from registry.access.authentication import Authenticator
from registry.access.authorizer import Authorizer, PolicyAuthorizer
from registry.access.elsewhere import Elsewhere
from registry.access.explaining import AccessExplainer
from registry.access.first import FirstAdministrator
from registry.access.granting import TokenService
from registry.access.htpasswd import HtpasswdFile
from registry.access.identity import IdentityService
from registry.access.keys import KeyService
from registry.access.policies import PolicyService
from registry.access.principal_rows import check_user_name
from registry.access.principals import PrincipalService
from registry.access.secrets import Passwords
from registry.access.standing import Standings
from registry.access.teams import TeamService
from registry.access.throttle import Throttle
from registry.access.token_keys import TokenKeys
from registry.access.tokens import LEEWAY_SECONDS, LIVES_SECONDS, Tokens
from registry.db.engine import Database
from registry.hooks.admitting import Contexts
from registry.hooks.authenticating import Logins
from registry.hooks.authorizing import Denials
from registry.hooks.calls import Calls


@dataclass(frozen=True, slots=True)
class AccessTerms:
    """How access is set up: whether anybody is asked who they are, for whom tokens are, and the file of users.

    So many logins at once may wait for plugins in a process.
    """

    authentication: bool = False
    service: str = "moorage"
    htpasswd: Path | None = None
    token_seconds: int = LIVES_SECONDS
    logins_at_once: int = 1


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


@dataclass(frozen=True, slots=True)
class _Sources:
    """Who keeps users: a file, and plugins."""

    htpasswd: HtpasswdFile
    elsewhere: Elsewhere

    def vouches(self, source: str, name: str) -> bool:
        """Tell whether a source knows a user still."""
        return self.htpasswd.vouches(source, name) and self.elsewhere.vouches(source)


def wire_access(database: Database, terms: AccessTerms, calls: Calls, contexts: Contexts) -> Access:
    """Wire access over one database; ``calls`` ask plugins, each with its context."""
    htpasswd, passwords = HtpasswdFile(terms.htpasswd), Passwords()
    logins = Logins(calls, contexts, check_user_name)
    elsewhere = Elsewhere(database, logins, lambda name: bool(htpasswd.find(name)), terms.logins_at_once)
    denials = Denials(calls, contexts)
    standings = Standings(database, _Sources(htpasswd, elsewhere))
    policy = PolicyAuthorizer(standings, denials, database.clock_ms)
    authorizer = policy if terms.authentication else Authorizer(denials, database.clock_ms)
    token_keys = TokenKeys(database, authorizer, kept_ms=(terms.token_seconds + 2 * LEEWAY_SECONDS) * 1000)
    tokens = Tokens(token_keys, terms.service, terms.token_seconds, database.clock_ms)
    authenticator = Authenticator(database, standings, tokens, passwords, Throttle(database), htpasswd, elsewhere)
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
    )
