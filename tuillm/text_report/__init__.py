"""What `tuillm explore` counts of a text: its record, in words, as a page; for every front end."""
