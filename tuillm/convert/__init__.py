"""Models come in and go out: other programs' folders and files into the registry, and back out.

Puts together what `model`, `text` and `store` know; knows no training and no screen.
"""
