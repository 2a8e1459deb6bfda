"""Where texts come from: files, folders, archives, addresses, tables, documents, hub data sets.

Each finds `Item`s or reads one into texts or records. Knows bytes and formats; knows neither
tokens nor what a corpus is.
"""
