"""A conversation without a terminal: its tree, its replies, and how it is kept."""
