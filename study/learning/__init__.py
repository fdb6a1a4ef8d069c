"""How parameters are moved: losses, truncated BPTT, clipping, evaluation. Plain torch, no Lightning."""
