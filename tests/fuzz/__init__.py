"""Hostile bytes through every parser of what comes from outside.

``targets`` holds one function for each parser: it takes any bytes, and raises where a promise is broken. ``engine``
runs one of them under atheris, which follows the coverage of the package; it is the only file that knows that library.
``command`` runs them all and tells what came of it. ``corpus`` are small inputs that reach far, and those that once
broke something.
"""
