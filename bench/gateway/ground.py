"""What the systems have in common: the upstream, Redis, keys and tokens."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.gateway.rows import Row
from bench.gateway.stage import Stage, Started, answers, local, stage
from bench.gateway.tokens import NEW_TOKENS, USERS, SigningKey, Tokens, write_tokens
from chassis.processes import free_port
from chassis.testing.servers import Servers

HERE = Path(__file__).parent
_BODY_BYTES = 300
_COUNTS = {"rs256": USERS, "rs256-2048": USERS, "new-rs256": NEW_TOKENS, "new-es256": NEW_TOKENS}


@dataclass(slots=True)
class System:
    """What is loaded: where it answers, its process, and how many tokens it has been sent."""

    row: Row
    name: str
    url: str
    tokens: Tokens
    program: Started
    sent: int = 0

    def redis_lost(self) -> int:
        """Return how often its log tells that Redis did not answer in time."""
        return self.program.log.read_bytes().count(b'"redis.lost"')


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything a system is started with."""

    stage: Stage
    upstream: int
    redis_url: str
    keys: Mapping[str, SigningKey]
    tokens: Mapping[str, Tokens]

    def public_key(self, name: str) -> Path:
        """Write the public key of that name; return where."""
        return self.stage.write(f"{name}.pem", self.keys[name].public_pem)

    def system(
        self, row: Row, port: int, program: Started, *, path: str = "/shop", prefix: str = ""
    ) -> System:
        """Return a system that is loaded at *path*; *prefix* stands before its row's name."""
        url = f"{local(port)}{path}/orders/17"
        return System(row, f"{prefix}{row.name}", url, self.tokens[row.tokens], program)

    def from_template(self, file: str, /, **values: object) -> Path:
        """Fill in a file of this folder for a program to read; return where."""
        return self.stage.write(file, fill(file, folder=self.stage.folder, **values))


@contextmanager
def ground(rows: Sequence[Row]) -> Iterator[Ground]:
    """Sign the tokens, start upstream and Redis; stop all of it whatever happens."""
    with ExitStack() as stack:
        staged = stack.enter_context(stage())
        keys = _keys()
        tokens = _sign(staged, keys, sorted({row.tokens for row in rows}))
        staged.keep_off()
        servers = Servers(say=print)
        stack.callback(servers.close)
        upstream = free_port()
        made = Ground(staged, upstream, servers.redis().url, keys, tokens)
        _start_upstream(made)
        yield made


def fill(file: str, /, **values: object) -> str:
    """Fill in a template of this folder; what begins with $ and is not ours stays."""
    return Template((HERE / file).read_text(encoding="utf-8")).safe_substitute(values)


def _keys() -> dict[str, SigningKey]:
    return {
        "rs256": SigningKey.rs256("rs256", bits=3072),
        "rs256-2048": SigningKey.rs256("rs256-2048", bits=2048),
        "es256": SigningKey.es256("es256"),
    }


def _sign(staged: Stage, keys: Mapping[str, SigningKey], kinds: Sequence[str]) -> dict[str, Tokens]:
    tokens = {}
    for kind in kinds:
        count, key = _COUNTS[kind], keys[kind.removeprefix("new-")]
        print(f"signing {count} tokens ({kind}) …", flush=True)
        tokens[kind] = write_tokens(staged.folder / f"{kind}.tokens", key, count)
    return tokens


def _start_upstream(made: Ground) -> None:
    padding = "x" * (_BODY_BYTES - len(json.dumps({"orders": ""})))
    path = made.from_template(
        "upstream.conf", port=made.upstream, body=json.dumps({"orders": padding})
    )
    made.stage.start(
        "upstream",
        ["nginx", "-p", str(made.stage.folder), "-c", str(path)],
        ready=lambda: answers(local(made.upstream)),
    )
