"""What the tests stand on: tools, services and servers, each started and stopped as a context manager."""
