"""The chat: a prompt-toolkit REPL that streams a model's replies.

Knows sessions, commands and the terminal; how a token is chosen is `generation`'s business.
"""
