"""Real database servers for the tests of this folder."""

from real_mariadb import mariadb
from real_postgresql import postgresql

__all__ = ["mariadb", "postgresql"]
