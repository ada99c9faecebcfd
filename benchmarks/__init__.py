"""Side-by-side measurements of Moorage and other registries; run it with `python -m benchmarks`."""
