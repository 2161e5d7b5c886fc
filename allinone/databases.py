"""One database per service on the embedded server, with its two roles, brought up to date."""

from dataclasses import dataclass
from pathlib import Path

from allinone.datadir import DataDir
from chassis.migrations import migrate
from chassis.provisioning import Role, database_url, provision

SERVICES = ("identity", "token", "notify", "audit")
_SERVICES_ROOM = Path(__file__).resolve().parent.parent / "services"


@dataclass(frozen=True)
class ServiceDatabase:
    """The URLs of one service's database: each carries a password."""

    app_url: str
    owner_url: str


async def prepare(admin_url: str, data_dir: DataDir, service: str) -> ServiceDatabase:
    """Make the database of *service* if there is none, and migrate it."""
    owner = Role(f"{service}_owner", data_dir.secret(f"{service}_owner_password"))
    app = Role(f"{service}_app", data_dir.secret(f"{service}_app_password"))
    await provision(admin_url, database=service, owner=owner, app=app)
    urls = ServiceDatabase(
        app_url=database_url(admin_url, database=service, role=app),
        owner_url=database_url(admin_url, database=service, role=owner),
    )
    await migrate(
        owner_url=urls.owner_url,
        script_location=_SERVICES_ROOM / service / "migrations",
        app_role=app.name,
    )
    return urls
