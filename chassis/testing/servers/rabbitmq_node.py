"""Brokers of our own: a private node with an own epmd, or a container."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from chassis.processes import Child, free_port, wait_until
from chassis.testing.servers.rabbitmq_given import require_test_name
from chassis.testing.servers.sources import Container, ServerMissingError

START_SECONDS = 60.0

IMAGE_VARIABLE = "GATEHOUSE_TEST_RABBITMQ_IMAGE"
IMAGE = "rabbitmq:4-alpine"
USER = "gatehouse"

_CONTROL_SECONDS = 30.0
_ANSWER_SECONDS = 2.0
_SAFE_NAME = re.compile(r"^[a-z0-9_]+$")
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class _Broker:
    """What every broker of ours does by evaluating an Erlang expression in the node."""

    port: int
    password: str

    def create_vhost(self, name: str) -> str:
        """Make a virtual host and return its URL."""
        vhost = _binary(name)
        everything = '<<".*">>, <<".*">>, <<".*">>'
        self.evaluate(
            f'rabbit_vhost:add({vhost}, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"{USER}">>, {vhost}, {everything}, <<"tests">>).'
        )
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        self.evaluate(f'rabbit_vhost:delete({_binary(name)}, <<"tests">>), ok.')

    def settle(self) -> None:
        """Write to disk what was declared a moment ago."""
        self.evaluate("[dets:sync(Table) || Table <- dets:all()], ok.")

    def evaluate(self, expression: str) -> None:
        """Evaluate an expression that gives `ok`. Raises ServerMissingError."""
        raise NotImplementedError


class PrivateRabbitMQ(_Broker):
    """A node of the installed RabbitMQ on free ports, with an own epmd, as any user.

    *scripts* is the folder of RabbitMQ's own scripts. Cold start 7 to 14 s: launch it early.
    """

    def __init__(self, scripts: Path) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._scripts = scripts
        self._folder = Path(tempfile.mkdtemp(prefix="gatehouse-test-mq-"))
        self._dist_port = free_port()
        self._epmd_port = free_port()
        self._cookie = secrets.token_hex(16)
        self._write_files()
        self._epmd: Child | None = None
        self._node: Child | None = None

    def launch(self) -> None:
        """Begin to start, without waiting."""
        if self._epmd is None:
            command = [shutil.which("epmd") or "epmd", "-port", str(self._epmd_port)]
            self._epmd = Child(
                [*command, "-address", "127.0.0.1"],
                log=self._folder / "epmd.log",
                env=self._environment(),
                death_signal=signal.SIGKILL,
            )
        self._node = Child(
            [str(self._scripts / "rabbitmq-server")],
            log=self._folder / "node.log",
            env=self._environment(),
            death_signal=signal.SIGKILL,
        )

    def wait_ready(self) -> None:
        """Wait until it speaks AMQP; raises ServerMissingError after 60 s."""
        node = self._node
        if node is None:
            raise ServerMissingError("this RabbitMQ node has not been launched")
        wait_until(lambda: not node.alive or speaks_amqp(self.port), timeout=START_SECONDS)
        if not node.alive or not speaks_amqp(self.port):
            raise ServerMissingError(
                f"RabbitMQ did not start within {START_SECONDS:.0f} s: {node.log}"
            )

    def stop(self) -> None:
        """Kill it (nothing of it is kept) and remove its folder."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """Kill the node; its data stays."""
        if self._node is not None:
            self._node.kill()
            self._node = None

    def restart(self) -> None:
        """Start it again on the same port (6 to 18 s)."""
        self.kill()
        self.launch()
        self.wait_ready()

    def evaluate(self, expression: str) -> None:
        """Evaluate in the node: by erl_call (10 ms) where Erlang brings it, else rabbitmqctl."""
        fast = shutil.which("erl_call")
        if fast is None:
            _run([str(self._scripts / "rabbitmqctl"), "eval", expression], self._environment())
            return
        command = [fast, "-c", self._cookie, "-address", f"127.0.0.1:{self._dist_port}", "-e"]
        answer = _run(command, self._environment(), f"{expression}\n")
        if answer != "{ok, ok}":
            raise ServerMissingError(f"RabbitMQ refused {expression} {answer}")

    def _write_files(self) -> None:
        (self._folder / "plugins").write_text("[].\n")
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"default_user = {USER}\n"
            f"default_pass = {self.password}\n"
            "log.console = true\n"
            "log.console.level = warning\n"
        )
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            # The script then becomes the node instead of staying its parent: one process to kill.
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_NODENAME": f"n{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


class DockerRabbitMQ(_Broker):
    """A broker in a container."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        self._container = Container(
            os.environ.get(IMAGE_VARIABLE, IMAGE),
            inner_port=5672,
            env={"RABBITMQ_DEFAULT_USER": USER, "RABBITMQ_DEFAULT_PASS": self.password},
        )
        self.port = self._container.port

    def launch(self) -> None:
        """Begin to start, without waiting."""
        self._container.start()

    def wait_ready(self) -> None:
        """Wait until it speaks AMQP."""
        self._container.wait(lambda: speaks_amqp(self.port))

    def stop(self) -> None:
        """Remove the container."""
        self._container.remove()

    def kill(self) -> None:
        """Kill the container; its data stays."""
        self._container.kill()

    def restart(self) -> None:
        """Start the container again."""
        self.kill()
        self.launch()
        self.wait_ready()

    def evaluate(self, expression: str) -> None:
        """Evaluate in the node."""
        self._container.execute("rabbitmqctl", "eval", expression)


def speaks_amqp(port: int) -> bool:
    """Say whether AMQP's header is answered by a method frame (AMQP 0-9-1 §4.2.2)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS) as connection:
            connection.sendall(_AMQP_HEADER)
            return connection.recv(1) == _METHOD_FRAME
    except OSError:
        return False


def _binary(name: str) -> str:
    require_test_name(name)
    if not _SAFE_NAME.match(name):
        raise ValueError(f"{name}: a test's virtual host is named by a-z, 0-9 and _")
    return f'<<"{name}">>'


def _run(command: list[str], env: dict[str, str], text: str | None = None) -> str:
    answer = subprocess.run(  # noqa: S603 - our own command
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=_CONTROL_SECONDS,
        check=False,
        env=env,
    )
    if answer.returncode != 0:
        raise ServerMissingError(f"{Path(command[0]).name} failed: {answer.stderr.strip()}")
    return answer.stdout.strip()
