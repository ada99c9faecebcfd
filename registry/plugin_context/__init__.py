"""What plugins are handed: a repository's content, a store of their own, and tags."""
