"""The chat's side of the terminal: prompt, keys, replies as they come."""
