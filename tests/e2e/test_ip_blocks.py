"""An administrator blocks an address, and lifts the block again (D26)."""

from collections.abc import Callable

from chassis.testing import eventually
from tests.platforms.person import Person

BLOCKS = "/api/v1/admin/ip-blocks"
PUBLIC = "/api/v1/auth/password-policy"


async def _is_blocked(person: Person) -> bool:
    answer = await person.call("GET", PUBLIC)
    return answer.status_code == 403 and answer.json()["code"] == "address_blocked"


async def _is_served(person: Person) -> bool:
    return (await person.call("GET", PUBLIC)).status_code == 200


class TestAnAddress:
    """Blocked by an administrator."""

    async def test_is_refused_and_served_again_when_the_block_is_lifted(
        self, person: Person, somebody: Callable[[], Person], admin: Person
    ) -> None:
        """Others pass meanwhile, and the log tells who did it."""
        neighbour, token = somebody(), admin.access_token
        assert await _is_served(person)

        body = {"cidr": f"::ffff:{person.address}", "reason": "scans", "duration_minutes": 5}
        block = (await admin.call("POST", BLOCKS, body, token=token)).json()
        assert block["cidr"] == f"{person.address}/32"
        await eventually(lambda: _is_blocked(person), within=5)
        login = await person.login()
        assert (login.status_code, login.json()["code"]) == (403, "address_blocked")
        assert await _is_served(neighbour)

        again = await admin.call("POST", BLOCKS, body, token=token)
        assert (again.status_code, again.json()["code"]) == (409, "ip_block_exists")

        lifted = await admin.call("DELETE", f"{BLOCKS}/{block['id']}", token=token)
        assert lifted.status_code == 204
        await eventually(lambda: _is_served(person), within=5)
        listed = await admin.call("GET", f"{BLOCKS}?address={person.address}", token=token)
        assert listed.json()["items"] == []
        await eventually(lambda: _is_told(admin, block["id"]), within=20)

    async def test_of_the_administrator_needs_force(self, admin: Person) -> None:
        """409, and the administrator is served as before."""
        body = {"cidr": admin.address, "reason": "a slip"}
        answer = await admin.call("POST", BLOCKS, body, token=admin.access_token)

        assert (answer.status_code, answer.json()["code"]) == (409, "own_address")
        assert await _is_served(admin)

    async def test_is_the_business_of_administrators_alone(self, person: Person) -> None:
        """A user is refused at the gateway."""
        await person.join()
        body = {"cidr": "192.0.2.1", "reason": "a grudge"}
        answer = await person.call("POST", BLOCKS, body, token=person.access_token)

        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def _is_told(admin: Person, block_id: str) -> bool:
    """Say whether the log tells both, asked by type: each look leaves a row about the block too."""
    for type_ in ("audit.ip.blocked.v1", "audit.ip.unblocked.v1"):
        path = f"/api/v1/admin/audit?target={block_id}&type={type_}"
        answer = await admin.call("GET", path, token=admin.access_token)
        assert len(answer.json()["items"]) == 1, type_
    return True
