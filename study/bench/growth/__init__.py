"""`python -m study.bench.growth`: what things cost as they grow, with the exponent of the growth."""
