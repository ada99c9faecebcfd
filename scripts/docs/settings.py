"""The page of all settings, from ``registry/settings.py``."""

from __future__ import annotations

from collections.abc import Iterator

from registry.setting_providers import OPTIONS, OidcProvider, described
from registry.settings import Settings

_HEAD = """\
# Settings

Flags of `moorage serve` win over variables, those over the TOML file (`--config`, `MOORAGE_CONFIG`, or `moorage.toml`
in the working directory), that over the defaults. Generated from `registry/settings.py`.

```toml title="moorage.toml"
listen = "127.0.0.1:5000"
recovery_window = "30d"
blocked_plugins = ["expiry"]
```

`moorage config check` refuses what it does not know and names the nearest; `moorage config show` prints what is in
force and where it came from:

```console
$ moorage config check
...
$ moorage config show --json
...
```

Options of a storage driver are a table named after its scheme: `[s3]` with `endpoint_url = "…"`, or
`MOORAGE_S3_ENDPOINT_URL` ([all of S3](operations.md#s3)). Providers at which people log in are tables
[`[oidc.NAME]`](#providers-of-logins), and what is set of a plugin is in [`[plugins.NAME]`](#settings-of-plugins).

## All settings

| TOML | variable | default | meaning |
|---|---|---|---|
"""
_PROVIDERS = """
## Providers of logins

People [log in](logging-in.md) at providers of OpenID Connect: a table `[oidc.NAME]` for each. NAME is part of URLs: up
to 32 of a-z, 0-9, and dashes between. In a variable, NAME is in capitals, with underscores for dashes; tables are JSON.

| TOML | variable | default | meaning |
|---|---|---|---|
"""
_PLUGINS = """
## Settings of plugins

A plugin that has settings is set by the table `[plugins.NAME]`, and by variables that win over it:

```toml title="moorage.toml"
[plugins.quota]
most = 3
types = ["application/vnd.oci.image.manifest.v1+json"]

[[plugins.quota.rules]]
repository = "team/*"
most = 10
```

```console
$ export MOORAGE_PLUGIN_QUOTA_MOST=5
$ export MOORAGE_PLUGIN_QUOTA_TYPES=application/vnd.oci.image.manifest.v1+json,text/plain
$ export MOORAGE_PLUGIN_QUOTA_RULES='[{"repository": "team/*", "most": 10}]'
```

- NAME is the plugin's name, as `moorage plugins` lists it; its case, dashes and underscores do not matter.
- In a variable, a list of texts has commas between; other lists, and tables, are JSON.
- `moorage config show` lists every setting of every plugin, with its value, where that came from and what it is.
  What has `secret`, `password`, `token` or `key` in its name is masked, unless its plugin says that it is public.
- `moorage config check` tells every unknown name and bad value at once, with the file's line or the variable. The
  server does not start with one. What is set for a plugin that is blocked, or failed to load, is left alone.

What a plugin's author writes is [plugin_settings](hooks/plugin_settings.md).
"""


def page() -> str:
    """Return ``docs/settings.md``: every setting with its variable, default and meaning."""
    rows = [
        f"| `{item.name}` | `{item.variable}` | {_cell(item.default)} | {item.help} |\n"
        for item in Settings().describe()
    ]
    return "".join([_HEAD, *rows, _PROVIDERS, *_of_provider(), _PLUGINS])


def _of_provider() -> Iterator[str]:
    usual = OidcProvider(name="NAME", issuer="", client_id="")
    for item in described({"NAME": usual}, {}):
        option = item.name.rpartition(".")[2]
        meaning = f"{item.help} (required)" if OPTIONS[option].required else item.help
        name = f"`{option}`" if option != "client_secret" else ""
        yield f"| {name} | `{item.variable}` | {_cell(item.default)} | {meaning} |\n"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`{', '.join(value)}`" if value else ""
    return "" if value in ("", None, {}) else f"`{value}`"
