"""The benchmark: what is measured, how it is run, and what is shown of it. Method: benchmarks/README.md."""
