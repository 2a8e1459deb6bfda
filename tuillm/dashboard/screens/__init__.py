"""One file a screen: what fills the terminal, and what its keys do."""
