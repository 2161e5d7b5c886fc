"""Start audit: `python -m services.audit [serve|migrate|archive]`."""

from pathlib import Path

from chassis.entrypoint import main
from services.audit.app import build
from services.audit.command import archive
from services.audit.settings import AuditSettings

if __name__ == "__main__":
    main(
        "services.audit",
        AuditSettings,
        build,
        Path(__file__).parent,
        commands={"archive": archive},
    )
