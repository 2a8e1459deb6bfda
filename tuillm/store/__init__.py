"""What stands on disk: paths, atomic files, the model registry and the run folders.

Knows names, folders and processes; knows neither torch nor what a model computes.
"""
