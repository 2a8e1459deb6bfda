"""Several models on one prompt, in columns, text, Markdown or JSON."""
