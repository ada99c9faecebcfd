"""Backups: the database as one state of it, and all blobs that it names, beside a registry that goes on."""
