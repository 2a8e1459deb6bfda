"""The forward pass in C, as an optional part: compiled on this machine, loaded by ctypes.

Knows neither PyTorch nor model folders; where there is no compiler, others do without it.
"""
