"""Hashes and the pool that computes them."""

import asyncio
import os
import threading
from functools import partial

import pytest

from services.identity.errors import HashingOverloaded
from services.identity.hashing import (
    Argon2Parameters,
    Hashing,
    HashPool,
    PasswordHasher,
    Priority,
    Verdict,
)
from services.identity.tests.configuration import CHEAP, PASSWORD

PEPPERS = (("k2", b"second pepper second pepper 32 b"), ("k1", b"first pepper first pepper 32 byt"))


class TestArgon2:
    """Our own hashes."""

    def test_are_argon2id_at_the_documented_cost(self) -> None:
        """19 MiB, two passes, one lane (D4)."""
        assert PasswordHasher().hash(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    def test_verify_exactly_the_password(self) -> None:
        """Every character counts, also the last of a long one."""
        hasher = PasswordHasher(CHEAP)
        long = "x" * 128
        stored = hasher.hash(long)
        assert hasher.verify(stored, long) is Verdict.RIGHT
        for wrong in (long[:-1], long[:-1] + "y", long + " ", long.upper(), ""):
            assert hasher.verify(stored, wrong) is Verdict.WRONG

    def test_are_outdated_when_the_cost_is_raised(self) -> None:
        """The next login hashes anew."""
        stored = PasswordHasher(CHEAP).hash(PASSWORD)
        dearer = PasswordHasher(Argon2Parameters(memory_kib=16, passes=1))
        assert dearer.verify(stored, PASSWORD) is Verdict.OUTDATED

    @pytest.mark.parametrize(
        "stored", ["", "plain", "$argon2id$broken", "$2b$04$short", "$pepper$"]
    )
    def test_nothing_matches_a_broken_hash(self, stored: str) -> None:
        """A hash nobody can read lets nobody in."""
        assert PasswordHasher(CHEAP).verify(stored, PASSWORD) is Verdict.WRONG


class TestPeppers:
    """The keyed step (N-11)."""

    def test_a_hash_needs_its_pepper(self) -> None:
        """The database alone verifies nothing."""
        stored = PasswordHasher(CHEAP, PEPPERS).hash(PASSWORD)
        assert stored.startswith("$pepper$k2$argon2id$")
        assert PasswordHasher(CHEAP).verify(stored, PASSWORD) is Verdict.WRONG
        assert PasswordHasher(CHEAP, PEPPERS).verify(stored, PASSWORD) is Verdict.RIGHT

    def test_older_peppers_and_none_are_upgraded(self) -> None:
        """Rotation goes on at each login."""
        hasher = PasswordHasher(CHEAP, PEPPERS)
        older = PasswordHasher(CHEAP, PEPPERS[1:]).hash(PASSWORD)
        none = PasswordHasher(CHEAP).hash(PASSWORD)
        assert hasher.verify(older, PASSWORD) is Verdict.OUTDATED
        assert hasher.verify(none, PASSWORD) is Verdict.OUTDATED
        assert hasher.verify(older, "wrong") is Verdict.WRONG


class TestHashing:
    """Pool and hasher together."""

    async def test_normalises_and_compares_unknown_names_with_nothing(self) -> None:
        """The composed and the decomposed spelling are one password; no hash matches nothing."""
        hashing = Hashing(PasswordHasher(CHEAP), HashPool(1), queue_seconds=5)
        stored = await hashing.hash("Caf\u00e9-Noir-1", Priority.REGISTER)
        assert (await hashing.verify(stored, "Cafe\u0301-Noir-1")).is_right
        assert not (await hashing.verify(None, "a password nobody has")).is_right
        assert not (await hashing.verify(stored, "x" * 5000)).is_right
        hashing.close()


class TestPool:
    """Bounded threads, ordered waiting, a deadline."""

    async def test_runs_no_more_than_its_workers_at_once(self) -> None:
        """Two threads mean two hashes, however many callers there are."""
        pool, running, most, lock = HashPool(2), 0, 0, threading.Lock()
        gate = threading.Barrier(2, timeout=10)

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            gate.wait()
            with lock:
                running -= 1

        await asyncio.gather(*(pool.run(Priority.LOGIN, 10, work) for _ in range(8)))
        pool.close()
        assert most == 2

    async def test_lets_logins_pass_resets_and_these_registrations(self) -> None:
        """Whoever waits is served by priority, then in order."""
        pool, release, order = HashPool(1), threading.Event(), list[str]()
        first = asyncio.create_task(pool.run(Priority.LOGIN, 10, release.wait))
        await asyncio.sleep(0)
        waiting = [
            asyncio.create_task(pool.run(priority, 10, partial(order.append, name)))
            for priority, name in (
                (Priority.REGISTER, "register"),
                (Priority.RESET, "reset"),
                (Priority.LOGIN, "login 1"),
                (Priority.LOGIN, "login 2"),
            )
        ]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, *waiting)
        pool.close()
        assert order == ["login 1", "login 2", "reset", "register"]

    async def test_refuses_what_cannot_begin_in_time(self) -> None:
        """Nobody waits beyond the deadline, and the place is not lost."""
        pool, release = HashPool(1), threading.Event()
        busy = asyncio.create_task(pool.run(Priority.LOGIN, 10, release.wait))
        await asyncio.sleep(0)
        with pytest.raises(HashingOverloaded) as refusal:
            await pool.run(Priority.LOGIN, 0.01, lambda: None)
        assert refusal.value.retry_after == 1
        with pytest.raises(HashingOverloaded):
            await pool.run(Priority.LOGIN, 0, lambda: None)
        release.set()
        await busy
        assert await pool.run(Priority.LOGIN, 10, lambda: "done") == "done"
        pool.close()

    async def test_a_cancelled_caller_leaves_no_hole(self) -> None:
        """The place is free again when the thread is."""
        pool, release = HashPool(1), threading.Event()
        busy = asyncio.create_task(pool.run(Priority.LOGIN, 10, release.wait))
        waiting = asyncio.create_task(pool.run(Priority.LOGIN, 10, lambda: None))
        await asyncio.sleep(0)
        busy.cancel()
        waiting.cancel()
        await asyncio.gather(busy, waiting, return_exceptions=True)
        release.set()
        assert await pool.run(Priority.LOGIN, 10, lambda: "done") == "done"
        pool.close()

    async def test_steps_back_behind_everything_else(self) -> None:
        """Its threads are nicer than the one that answers, which stays as it was."""
        pool = HashPool(1)
        before = _niceness()
        within = await pool.run(Priority.LOGIN, 5.0, _niceness)
        pool.close()
        assert within == min(before + 5, 19)
        assert _niceness() == before


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
