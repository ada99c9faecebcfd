"""Providers of OpenID Connect as they are set: tables ``[oidc.NAME]``, and variables that win over them.

Standard library only, as all that reads settings.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from registry import setting_values as values
from registry.setting_values import SettingShown

OIDC = "oidc"
"""The table of the file that holds a table a provider."""
PREFIX = "MOORAGE_OIDC_"
_NAME = re.compile(r"(?=.{1,32}$)[a-z0-9]+(?:-[a-z0-9]+)*")
_CLAIM = re.compile(r"\S{1,200}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""RFC 6749, 3.3."""
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_LONGEST_ISSUER = 255
_SECRET = "client_secret"  # noqa: S105 - the name of an option


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """A provider at which people log in. ``teams`` maps groups of it to teams here.

    Whoever logs in must be of one of ``allowed_domains`` and have ``required_claims``, as far as there are some. Where
    there are none, only those are let in whom an administrator linked, unless ``allow_anybody``.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    username_claim: str = "preferred_username"
    groups_claim: str = ""
    teams: Mapping[str, str] = field(default_factory=dict)
    allowed_domains: tuple[str, ...] = ()
    required_claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    allow_anybody: bool = False
    display_name: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.display_name or self.name

    @property
    def limited(self) -> bool:
        """Whether it is said who of its people may log in."""
        return bool(self.allowed_domains or self.required_claims)

    def secret(self) -> str:
        """Return the client's secret, empty for a client without one; raises :class:`OSError`, :class:`ValueError`."""
        if self.client_secret or self.client_secret_file is None:
            return self.client_secret
        found = self.client_secret_file.read_text(encoding="utf-8").strip()
        if not found:
            raise ValueError(f"{self.client_secret_file} is empty")
        return found


def _issuer(value: object) -> str:
    address = values.text(value)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("expected the provider's issuer, a URL such as https://login.example.org/realms/staff")
    if parts.query or parts.fragment or len(address) > _LONGEST_ISSUER:
        raise ValueError(f"expected an issuer of {_LONGEST_ISSUER} characters at most, without ? and #")
    if parts.scheme == "http" and not values.is_loopback(f"{parts.hostname}:{parts.port or 80}"):
        raise ValueError("expected https: over http, anybody on the way could log in as anybody")
    return address


def _claim(value: object) -> str:
    name = values.text(value)
    if name and _CLAIM.fullmatch(name) is None:
        raise ValueError("expected the name of a claim, such as groups")
    return name


def _client_id(value: object) -> str:
    if not (found := values.text(value)):
        raise ValueError("expected the id that the provider gave this registry")
    return found


def _scopes(value: object) -> tuple[str, ...]:
    found = values.names(value.replace(" ", ",") if isinstance(value, str) else value)
    if wrong := [one for one in found if _SCOPE.fullmatch(one) is None]:
        raise ValueError(f"expected scopes such as openid and email ({wrong[0]!r} is none)")
    return ("openid", *(one for one in found if one != "openid"))


def _domains(value: object) -> tuple[str, ...]:
    found = tuple(one.lower() for one in values.names(value))
    if wrong := [one for one in found if _DOMAIN.fullmatch(one) is None]:
        raise ValueError(f"expected domains such as example.org ({wrong[0]!r} is none)")
    return found


def _table(value: object) -> Mapping[str, object]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("expected a JSON object") from None
    if not isinstance(value, dict) or not all(name and name.isprintable() for name in value):
        raise ValueError("expected a table")
    return value


def _teams(value: object) -> Mapping[str, str]:
    found = _table(value)
    if not all(isinstance(team, str) and team for team in found.values()):
        raise ValueError("expected a table of teams by group, such as {staff = 'builders'}")
    return MappingProxyType({group: str(team) for group, team in found.items()})


def _required(value: object) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for claim, wanted in _table(value).items():
        listed = wanted if isinstance(wanted, list) else [wanted]
        if not listed or not all(isinstance(one, str) and one for one in listed):
            raise ValueError("expected a table of claims with a text, or a list of texts one of which will do")
        found[claim] = tuple(map(str, listed))
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class Option:
    """What can be set of a provider: how it is read, and what it is for."""

    read: values.Reader
    about: str
    required: bool = False


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "issuer": Option(
            _issuer, "the provider, as its tokens name it: where its discovery document is", required=True
        ),
        "client_id": Option(_client_id, "what the provider calls this registry", required=True),
        "client_secret_file": Option(values.existing_file, "file that holds the client's secret, if it has one"),
        "scopes": Option(_scopes, "what the provider is asked for"),
        "username_claim": Option(_claim, "claim that names new users"),
        "groups_claim": Option(_claim, "claim that lists groups"),
        "teams": Option(_teams, "team of each group: those of them follow the provider at each login"),
        "allowed_domains": Option(_domains, "domains of verified e-mail addresses that are let in"),
        "required_claims": Option(_required, "claims that are needed, each with a text or a list of texts"),
        "allow_anybody": Option(values.boolean, "let in everybody whom the provider knows"),
        "display_name": Option(values.text, "what people call the provider"),
        _SECRET: Option(values.text, "the client's secret: as a variable alone"),
    }
)


class ProviderSources:
    """One reading of what is set of providers; ``origins`` tells where each part came from."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self._found: dict[str, dict[str, object]] = {}

    def put(self, provider: str, option: str, value: object, origin: str, *, variable: bool = False) -> None:
        """Take an option; what is put later replaces what was put before."""
        if option not in OPTIONS:
            close = difflib.get_close_matches(option, list(OPTIONS), n=1)
            advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(OPTIONS)}"
            self.problems.append(f"{origin}: a provider has no {option}; {advice}")
        elif option == _SECRET and not variable:
            way = f"give it by {variable_of(provider, _SECRET)}, or name a file that holds it with client_secret_file"
            self.problems.append(f"{origin}: {option} does not belong into the file of settings: {way}")
        else:
            self.open(provider, origin)
            try:
                self._found[provider][option] = OPTIONS[option].read(value)
            except ValueError as error:
                shown = values.MASK if option == _SECRET else values.hide_password(repr(value))
                self.problems.append(f"{origin}: {OIDC}.{provider}.{option}: {error}, not {shown}")
                self._found[provider].setdefault(option, None)  # it is there, so that it is not called missing
            self.origins[f"{OIDC}.{provider}.{option}"] = origin

    def open(self, provider: str, origin: str) -> None:
        """Take note that there is a provider."""
        if provider not in self._found and _NAME.fullmatch(provider) is None:
            advice = "it is part of URLs: up to 32 of a-z, 0-9, and dashes between"
            self.problems.append(f"{origin}: {provider!r} cannot be the name of a provider: {advice}")
        self._found.setdefault(provider, {})
        self.origins.setdefault(f"{OIDC}.{provider}", origin)

    def put_variable(self, variable: str, value: str) -> None:
        """Take a variable: its end names the option, and what is before that the provider."""
        rest = variable.removeprefix(PREFIX).lower()
        ends = sorted((one for one in OPTIONS if rest.endswith(f"_{one}")), key=len)
        if not ends or rest == f"_{ends[-1]}":
            self.problems.append(f"{variable}: expected {PREFIX}NAME_OPTION, where OPTION is {', '.join(OPTIONS)}")
            return
        name = rest.removesuffix(f"_{ends[-1]}").replace("_", "-")
        self.put(name, ends[-1], value, variable, variable=True)

    def providers(self) -> Mapping[str, OidcProvider]:
        """Return what is set, by name, and add what is missing to the problems."""
        made: dict[str, OidcProvider] = {}
        for name, found in self._found.items():
            place = self.origins[f"{OIDC}.{name}"]
            if missing := [option for option, what in OPTIONS.items() if what.required and option not in found]:
                self.problems.append(f"{place}: {OIDC}.{name} lacks {' and '.join(missing)}")
            elif None not in found.values():
                made[name] = OidcProvider(name=name, **found)  # type: ignore[arg-type] # as the readers return them
                self._contradictions(made[name], place)
        self._shared(made)
        return MappingProxyType(made)

    def _contradictions(self, provider: OidcProvider, place: str) -> None:
        where = f"{place}: {OIDC}.{provider.name}"
        if provider.allow_anybody and provider.limited:
            self.problems.append(f"{where}: allow_anybody lets in those whom the other settings keep out: drop one")
        if provider.teams and not provider.groups_claim:
            self.problems.append(f"{where}: teams needs groups_claim: the claim that lists groups, often groups")
        if not provider.username_claim:
            self.problems.append(f"{where}: username_claim cannot be empty: new users are named by it")

    def _shared(self, made: Mapping[str, OidcProvider]) -> None:
        owners: dict[tuple[str, str], str] = {}
        for provider in made.values():
            other = owners.setdefault((provider.issuer, provider.client_id), provider.name)
            if other != provider.name:
                place = self.origins[f"{OIDC}.{provider.name}"]
                self.problems.append(f"{place}: {OIDC}.{provider.name} is the same client as {OIDC}.{other}: drop one")


def variable_of(provider: str, option: str) -> str:
    """Return the variable that sets an option."""
    return f"{PREFIX}{provider}_{option}".upper().replace("-", "_")


def lacking_for(providers: Mapping[str, OidcProvider], authentication: bool, address: str) -> list[str]:  # noqa: FBT001 - a setting's value
    """Return what keeps people from coming back from a provider to ``address``, or lets them log in for nothing."""
    if not providers:
        return []
    name, problems = f"{OIDC}.{next(iter(providers))}", []
    if not authentication:
        problems.append(f"{name} lets people log in, but authentication is off: set authentication = true")
    if not address:
        advice = "set external_url to the address under which browsers reach this registry"
        problems.append(f"{name} sends people to a provider and back: {advice}")
    elif address.startswith("http:") and not values.is_loopback(f"{urlsplit(address).hostname}:80"):
        problems.append(f"external_url must be https with {name}: over http, others on the way could log in instead")
    return problems


def described(providers: Mapping[str, OidcProvider], origins: Mapping[str, str]) -> Iterator[SettingShown]:
    """Yield what is set of each provider, as it may be shown; the secret is masked."""
    usual = OidcProvider(name="", issuer="", client_id="")
    for name, provider in providers.items():
        for option, what in OPTIONS.items():
            path, value = f"{OIDC}.{name}.{option}", getattr(provider, option)
            if option == _SECRET and value:
                value = values.MASK
            default = None if what.required else _shown(getattr(usual, option))
            yield SettingShown(
                path, variable_of(name, option), _shown(value), origins.get(path, "default"), default, what.about
            )


def _shown(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: list(part) if isinstance(part, tuple) else part for name, part in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
