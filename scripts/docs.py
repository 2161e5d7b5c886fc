"""Write the generated documents: of the events from the contracts, of the API from the code.

docs/events.md, contracts/schemas/*.json, gateway/docs/openapi.json, gateway/docs/asyncapi.json

Usage: docs.py [--check]     with --check nothing is written; exit 1 when something is not current
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from contracts.envelope import EventData  # noqa: E402 - the root is on the path only now
from contracts.registry import COMMAND_TYPES, EVENT_TYPES  # noqa: E402
from scripts.reference import asyncapi, openapi  # noqa: E402

_HEAD = """# Events

Generated from `contracts/` by `scripts/docs.py`: do not edit.

Every event is a CloudEvents 1.0 JSON document (structured mode, content type
`application/cloudevents+json`) on the durable topic exchange `auth.events`; its `type` is the
routing key. Delivery is at least once: a consumer deduplicates by `id`. Events of one user carry
`subjectversion`: a smaller number than one already seen is old news. `producerseq` counts what one
`source` published, without gaps. Other extensions: `traceparent`, `actor`, `ip`, `useragent`.
A published field is never renamed or removed; a `v2` type stands beside it.
No event carries a password, a token, a hash of either, or a one-time code.

Bind a queue of your own: `auth.events` with `identity.user.*.v1`, or `#` for all.
The JSON Schema of each `data` is in `contracts/schemas/`.
"""


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; return the exit code."""
    stale = []
    for path, text in _files():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print("not current (run scripts/docs.py): " + ", ".join(stale), file=sys.stderr)
        return 1
    return 0


def _files() -> Iterator[tuple[Path, str]]:
    yield ROOT / "docs" / "events.md", _page()
    for event in EVENT_TYPES.values():
        schema = event.model_json_schema() | {"$id": event.schema_uri()}
        yield ROOT / "contracts" / "schemas" / f"{event.type}.json", _json(schema, sort_keys=True)
    reference = ROOT / "gateway" / "docs"
    yield reference / "openapi.json", _json(openapi.document())
    yield reference / "asyncapi.json", _json(asyncapi.document())


def _json(document: object, *, sort_keys: bool = False) -> str:
    return json.dumps(document, indent=2, sort_keys=sort_keys, ensure_ascii=False) + "\n"


def _page() -> str:
    parts = [_HEAD]
    for source in ("identity", "token", "notify", "audit", "gateway"):
        types = [event for name, event in EVENT_TYPES.items() if name.startswith(source)]
        parts += [f"\n## {source}\n\n| Type | Meaning | Data |\n|---|---|---|\n"]
        parts += [_row(event) for event in types]
    parts += [
        "\n## Commands\n\nPrivate work on the direct exchange `auth.commands`; not for others.\n"
    ]
    parts += ["\n| Type | Meaning | Data |\n|---|---|---|\n"]
    parts += [_row(command) for command in COMMAND_TYPES.values()]
    return "".join(parts)


def _row(event: type[EventData]) -> str:
    meaning = " ".join((event.__doc__ or "").split("\n\n")[0].split())
    fields = ", ".join(f"`{name}`" for name in event.model_fields)
    return f"| `{event.type}` | {meaning} | {fields} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
