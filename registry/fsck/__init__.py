"""Checking what is stored: rows against each other, and against the bytes."""
