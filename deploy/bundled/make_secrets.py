"""Make every secret of an installation with bundled PostgreSQL, RabbitMQ and Redis, once.

    python deploy/bundled/make_secrets.py FOLDER
        writes FOLDER/<holder>/<name>: what `docker compose up` does in its first container.
    python deploy/bundled/make_secrets.py FOLDER --kubernetes NAMESPACE | kubectl apply -f -
        prints the Secrets that deploy/k8s/overlays/dev mounts.

FOLDER/ledger/values.json holds the random values: a second run gives the same secrets and adds
what a newer release wants. Needs nothing but Python.
"""

import argparse
import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

SERVICES = ("identity", "token", "notify", "audit")
BROKER_USERS = (*SERVICES, "gateway")
REDIS_KEYS = {
    # A script's keys count as written, even those it only reads.
    "gateway": "~gatehouse:limit:* ~gatehouse:denied:*",
    "token": "~gatehouse:denied:*",
}
REDIS_USERS = tuple(REDIS_KEYS)
EDGES = (
    ("gateway", "identity"),
    ("gateway", "token"),
    ("gateway", "notify"),
    ("gateway", "audit"),
    ("token", "identity"),
    ("identity", "token"),
)
"""Who calls whom: each edge has a secret of its own."""

Files = dict[str, dict[str, str]]
Value = Callable[[str], str]


def main() -> int:
    """Write or print the secrets and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the secrets are kept")
    parser.add_argument("--kubernetes", metavar="NAMESPACE", help="print manifests instead")
    arguments = parser.parse_args()
    ledger = arguments.folder / "ledger" / "values.json"
    values = json.loads(ledger.read_text()) if ledger.exists() else {}
    files = render(lambda name: values.setdefault(name, _random()))
    # The ledger first: what is handed out must never be lost.
    _write_ledger(ledger, values)
    if arguments.kubernetes:
        json.dump(manifests(files, arguments.kubernetes), sys.stdout, indent=1)
    else:
        _write_files(arguments.folder, files)
    return 0


def render(value: Value) -> Files:
    """Return holder → file name → content; *value* gives the random value of a name."""
    files: Files = {holder: {} for holder in (*SERVICES, "gateway")}
    for service in SERVICES:
        app_url = _database_url(service, "app", value)
        files[service]["database_url"] = app_url
        files[f"{service}-migrate"] = {
            "database_url": app_url,
            "database_owner_url": _database_url(service, "owner", value),
        }
    for user in BROKER_USERS:
        password = value(f"rabbitmq_{user}")
        files[user]["rabbitmq_url"] = f"amqp://{user}:{password}@rabbitmq:5672/gatehouse"
    for user in REDIS_USERS:
        files[user]["redis_url"] = f"redis://{user}:{value(f'redis_{user}')}@redis:6379/0"
    for issuer, audience in EDGES:
        secret = value(f"assertion_{issuer}_{audience}")
        files[issuer][f"assertion_secrets_to_{audience}"] = secret
        files[audience][f"assertion_secrets_from_{issuer}"] = secret
    files["identity"]["identity_key"] = value("identity_key")
    files["gateway"]["csrf_keys"] = value("csrf_keys")
    files["token"]["signing_key_encryption_keys"] = value("signing_key_encryption_keys")
    for name in ("archive_signing_keys", "archive_key_encryption_keys"):
        files["audit"][name] = value(name)
    for service in ("identity", "notify"):
        files[service]["mail_secrets_keys"] = value("mail_secrets_keys")
    return files | _servers(value)


def _servers(value: Value) -> Files:
    superuser = value("postgres_superuser")
    databases = {"admin_url": f"postgresql://postgres:{superuser}@postgres:5432/postgres"}
    for service in SERVICES:
        for kind in ("owner", "app"):
            databases[f"{service}_{kind}_password"] = value(f"postgres_{service}_{kind}")
    return {
        "postgres": {"superuser_password": superuser},
        "databases": databases,
        "redis": {"users.acl": _redis_users(value)},
        "rabbitmq": {"definitions.json": json.dumps(_rabbitmq_definitions(value), indent=1)},
    }


def manifests(files: Files, namespace: str) -> dict[str, object]:
    """Return the files as Kubernetes Secrets named `gatehouse-<holder>`."""
    items = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"gatehouse-{holder}", "namespace": namespace},
            "stringData": content,
        }
        for holder, content in files.items()
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _database_url(service: str, kind: str, value: Value) -> str:
    password = value(f"postgres_{service}_{kind}")
    return f"postgresql+asyncpg://{service}_{kind}:{password}@postgres:5432/{service}"


def _redis_users(value: Value) -> str:
    lines = ["user default off"]
    for user in REDIS_USERS:
        digest = hashlib.sha256(value(f"redis_{user}").encode()).hexdigest()
        rights = "resetchannels +@all -@admin -@dangerous +info"
        lines.append(f"user {user} on #{digest} {REDIS_KEYS[user]} {rights}")
    return "\n".join(lines) + "\n"


def _rabbitmq_definitions(value: Value) -> dict[str, object]:
    users = [
        {
            "name": user,
            "password_hash": _rabbitmq_hash(value(f"rabbitmq_{user}"), value(f"salt_{user}")),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": [],
        }
        for user in BROKER_USERS
    ]
    # A producer declares the queues of all services before it publishes; the gateway declares but
    # the exchanges and a queue that dies with its connection.
    services = "|".join(SERVICES)
    queues = dict.fromkeys(SERVICES, rf"|({services})\.[a-z]+") | {"gateway": ""}
    permissions = []
    for user in BROKER_USERS:
        names = rf"^(auth\.[a-z-]+|amq\.gen-.*{queues[user]})$"
        rights = {"configure": names, "write": names, "read": names}
        permissions.append({"user": user, "vhost": "gatehouse", **rights})
    return {"vhosts": [{"name": "gatehouse"}], "users": users, "permissions": permissions}


def _rabbitmq_hash(password: str, salt: str) -> str:
    """Hash as RabbitMQ stores it: base64 of 4 bytes of salt and SHA-256 of salt and password."""
    head = hashlib.sha256(salt.encode()).digest()[:4]
    return base64.b64encode(head + hashlib.sha256(head + password.encode()).digest()).decode()


def _random() -> str:
    """Return 32 random bytes as base64url: a password, a signing secret or an AES-256 key."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _write_ledger(path: Path, values: dict[str, str]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(values, indent=1))
    draft.replace(path)


def _write_files(folder: Path, files: Files) -> None:
    for holder, content in files.items():
        room = folder / holder
        room.mkdir(exist_ok=True)
        for name, text in content.items():
            draft = room / f".{name}.new"
            draft.write_text(text)
            # Readable by whichever user the holder runs as: nobody else mounts this folder.
            draft.chmod(0o444)
            draft.replace(room / name)


if __name__ == "__main__":
    sys.exit(main())
