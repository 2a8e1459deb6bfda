"""The command line: one module a verb, each importing its front end only when called."""
