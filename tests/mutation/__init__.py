"""Mutation testing: the package is changed in one small place, and some test must notice.

``operators`` makes the mutants of a file. ``rooms`` says which files belong together and which tests are to notice.
``runner`` starts pytest once, collects, learns which test runs which line, and then forks: each mutant gets a process
that has everything imported, changes one function there and runs the tests that pass by the changed line. ``listing``
reads ``tests/mutants.md``, which explains the mutants that no test can tell from the original.

Neither mutmut nor cosmic-ray does here: mutmut leaves decorated functions (properties, class methods, context managers)
and everything outside of functions alone; cosmic-ray starts a new pytest for each mutant, which takes most of the time.
"""
