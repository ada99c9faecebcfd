"""What `gunicorn wsgi:app` reads: the settings of Moorage, as options of gunicorn's."""

import registry.serving.options as _options
import registry.settings as _settings

globals().update(_options.gunicorn_options(_settings.load_settings()))
