"""The parts of access, wired for one app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry.access.arrivals import Arrivals
from registry.access.authentication import Authenticator
from registry.access.authorizer import Authorizer, PolicyAuthorizer
from registry.access.browser_logins import BrowserLogins
from registry.access.elsewhere import Elsewhere
from registry.access.explaining import AccessExplainer
from registry.access.external import ExternalTerms, ExternalTokens
from registry.access.federation import Federation
from registry.access.first import FirstAdministrator
from registry.access.granting import TokenService
from registry.access.htpasswd import HtpasswdFile
from registry.access.identity import IdentityService
from registry.access.issuers import Issuers
from registry.access.keys import KeyService
from registry.access.links import LinkService
from registry.access.login_notes import LoginNotes
from registry.access.login_requests import LoginRequests
from registry.access.login_steps import LoginSteps
from registry.access.policies import PolicyService
from registry.access.principal_rows import check_user_name
from registry.access.principals import PrincipalService
from registry.access.providers import Providers, Reaching
from registry.access.secrets import Passwords
from registry.access.sources import Sources
from registry.access.standing import Standings
from registry.access.teams import TeamService
from registry.access.throttle import Throttle
from registry.access.token_keys import TokenKeys
from registry.access.tokens import LEEWAY_SECONDS, LIVES_SECONDS, Tokens
from registry.access.trusts import TrustService
from registry.audit.notes import Notes
from registry.db.engine import Database
from registry.hooks.admitting import Contexts
from registry.hooks.authenticating import Logins
from registry.hooks.authorizing import Denials
from registry.hooks.calls import Calls
from registry.setting_providers import OidcProvider


@dataclass(frozen=True, slots=True)
class AccessTerms:
    """How access is set up: whether anybody is asked who they are, for whom tokens are, and the file of users.

    ``audience`` is what tokens of other issuers are for where a trust does not say so; empty: it must. ``external`` is
    a token service elsewhere, whose tokens are taken as well.
    ``providers`` are where people log in; browsers come back from them to ``address``, the registry's own.
    So many ``logins_at_once`` may wait for plugins in a process.
    """

    authentication: bool = False
    service: str = "moorage"
    htpasswd: Path | None = None
    token_seconds: int = LIVES_SECONDS
    audience: str = ""
    external: ExternalTerms | None = None
    login_seconds: int = 12 * 3600
    address: str = ""
    providers: Mapping[str, OidcProvider] = field(default_factory=dict)
    logins_at_once: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """The services of access; without authentication there is no ``authenticator``, and no tokens are given."""

    terms: AccessTerms
    authorizer: Authorizer
    policy: PolicyAuthorizer
    standings: Standings
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
    providers: Providers
    links: LinkService
    login_requests: LoginRequests
    browser_logins: BrowserLogins


def wire_access(
    database: Database, terms: AccessTerms, calls: Calls, contexts: Contexts, egress: Reaching, notes: Notes
) -> Access:
    """Wire access over one database; ``calls`` ask plugins, each with its context.

    ``egress`` reaches issuers that administrators have named; ``notes`` is told of logins, tokens and denials.
    """
    # Long: a line a part, and no step that depends on another's outcome.
    htpasswd, passwords = HtpasswdFile(terms.htpasswd), Passwords()
    logins = Logins(calls, contexts, check_user_name)
    elsewhere = Elsewhere(database, logins, htpasswd.has, terms.logins_at_once)
    sources = Sources(htpasswd, elsewhere)
    denials = Denials(calls, contexts)
    standings = Standings(database, sources)
    policy = PolicyAuthorizer(standings, denials, database.clock_ms, notes)
    authorizer = policy if terms.authentication else Authorizer(denials, database.clock_ms)
    token_keys = TokenKeys(database, authorizer, kept_ms=(terms.token_seconds + 2 * LEEWAY_SECONDS) * 1000)
    tokens = Tokens(token_keys, terms.service, terms.token_seconds, database.clock_ms)
    throttle, issuers = Throttle(database), Issuers(egress, database.clock_ms)
    federation = Federation(standings, issuers, authorizer, database.clock_ms)
    external = None if terms.external is None else ExternalTokens(terms.external, egress, database.clock_ms)
    login_notes = LoginNotes(notes, lambda name: standings.principal(standings.now(), name) is not None)
    authenticator = Authenticator(
        database, standings, tokens, passwords, throttle, sources, federation, external, login_notes
    )
    keys = KeyService(database, authorizer)
    providers = Providers(terms.providers, issuers, egress, terms.address)
    steps = LoginSteps(database, keys, terms.login_seconds)
    if terms.authentication:
        database.confirm = policy.confirm
    return Access(
        terms,
        authorizer,
        policy,
        standings,
        authenticator if terms.authentication else None,
        PrincipalService(database, authorizer, passwords),
        TeamService(database, authorizer),
        keys,
        PolicyService(database, authorizer),
        TokenService(database, authorizer, standings, tokens, login_notes),
        token_keys,
        AccessExplainer(database, authorizer, policy, standings),
        IdentityService(database, standings),
        FirstAdministrator(database, passwords),
        issuers,
        TrustService(database, authorizer, terms.audience),
        federation,
        providers,
        LinkService(database, authorizer, providers),
        LoginRequests(database, providers, steps, throttle),
        BrowserLogins(database, providers, Arrivals(database, htpasswd.has), steps, throttle, login_notes),
    )
