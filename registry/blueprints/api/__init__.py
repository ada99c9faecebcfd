"""``/api/v1``: one module a resource, whose operations are declared once for Flask and for OpenAPI."""
