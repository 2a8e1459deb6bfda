"""What stands on disk: paths, atomic files, the model registry, the run folders and the pulls.

Knows names, folders, processes, and the hub that models are pulled from; knows neither torch nor
what a model computes.
"""
