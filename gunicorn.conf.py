"""What `gunicorn wsgi:app` reads: the settings of Moorage, as options of gunicorn's."""

import registry.cli.serve as _serve
import registry.settings as _settings

try:
    globals().update(_serve.options_under_gunicorn(_settings.load_settings()))
except _settings.SettingsError as _error:
    raise SystemExit(f"Error: {_error}") from None
