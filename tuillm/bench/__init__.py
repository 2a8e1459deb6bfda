"""Measures this machine, and tuillm on it against the machine's limits and other programs.

All of them take turns in one run, since machines are noisy; figures are medians.
"""
