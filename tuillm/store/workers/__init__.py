"""Processes that outlive their starter: start them, find them again, know whether they live."""
