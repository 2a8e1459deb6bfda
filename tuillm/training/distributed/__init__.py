"""Several processes that train one run together, on PyTorch's own engine."""
