"""What is wrong with a plugin: read from its files, and found by running the contracts on it."""
