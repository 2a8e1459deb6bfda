"""The Hugging Face hub: what a repository holds, and pulls of it that survive any kill."""
