"""The project in `foreign` is not ours to collect: a test runs its tests in a copy of it."""

collect_ignore = ["foreign"]
