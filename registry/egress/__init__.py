"""The one way out of the registry: requests of plugins to other hosts, and to issuers of tokens."""
