"""Files of others, read without trust: bounded, nothing executed, no torch."""
