"""The terminal and the streams that a person's shell gives us, on the way in and on the way out.

Knows file descriptors, signals and what acts on a terminal; knows no verb and no screen.
"""
