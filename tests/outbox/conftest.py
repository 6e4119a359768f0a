"""Real database servers for the tests of this folder."""

from real_mariadb import mariadb
from real_postgresql import postgresql, psycopg

__all__ = ["mariadb", "postgresql", "psycopg"]
