"""Benchmarks: what the harness costs on top of a bare PyTorch loop, what probes, loaders and reports cost."""
