"""What can be said of a text before anything is learned from it.

Each module counts one thing, over blocks of the text; `exploration` puts it all together. Knows
characters, words, lines and documents, and how many tokens they come to; knows neither models nor
screens.
"""
