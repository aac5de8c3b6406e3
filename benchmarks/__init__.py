"""Ratios measured in one run, because machines are noisy: `make bench`."""
