"""What a run would take, before it starts: from the text alone, then from real steps."""
