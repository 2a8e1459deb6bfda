"""How what `tuillm explore` counts is told, for every front end: in words, in rows, as a page."""
