"""A private PostgreSQL server under our own supervision: the all-in-one mode and the tests.

`binaries` finds an installation, `users` decides under which user it may run, `server` starts and
stops it. Nothing is installed, no system user is made, and no other server is touched.
"""

from chassis.postgres.binaries import Installation, PostgresError, find_installations
from chassis.postgres.server import PrivatePostgres

__all__ = ["Installation", "PostgresError", "PrivatePostgres", "find_installations"]
