"""A real PostgreSQL server for the tests of this folder."""

from real_postgresql import postgresql

__all__ = ["postgresql"]
