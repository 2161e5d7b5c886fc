"""Make the four databases with their owner and app roles in the bundled PostgreSQL.

Runs in the identity image before the migrations, at every start: it may be repeated, and roles get
the passwords that the services hold.
"""

import asyncio
import os
from pathlib import Path

from chassis.provisioning import Role, provision

SERVICES = ("identity", "token", "notify", "audit")


async def main() -> None:
    """Provision every service's database from the files in SECRETS_FOLDER."""
    folder = Path(os.environ.get("SECRETS_FOLDER", "/run/secrets/gatehouse"))
    admin_url = (folder / "admin_url").read_text()
    for service in SERVICES:
        owner, app = (
            Role(f"{service}_{kind}", (folder / f"{service}_{kind}_password").read_text())
            for kind in ("owner", "app")
        )
        await provision(admin_url, database=service, owner=owner, app=app)


if __name__ == "__main__":
    asyncio.run(main())
