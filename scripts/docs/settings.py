"""The page of all settings, from ``registry/settings.py``."""

from __future__ import annotations

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
`MOORAGE_S3_ENDPOINT_URL`. Those of a plugin are in `[plugins.NAME]`, or `MOORAGE_PLUGIN_NAME_*`
([how a plugin declares them](hooks/plugin_settings.md)).

## All settings

| TOML | variable | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return ``docs/settings.md``: every setting with its variable, default and meaning."""
    rows = [
        f"| `{item.name}` | `{item.variable}` | {_cell(item.default)} | {item.help} |\n"
        for item in Settings().describe()
    ]
    return "".join([_HEAD, *rows])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", None, []) else f"`{value}`"
