"""The one way out of the registry: requests that plugins send to other hosts."""
