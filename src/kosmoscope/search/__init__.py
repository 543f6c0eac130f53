"""Search: questions in words, asked of a folder of results."""
