"""Networks that fuse two disparity maps: SDDR (NeurIPS 2024) and GBDF (AAAI 2023)."""
