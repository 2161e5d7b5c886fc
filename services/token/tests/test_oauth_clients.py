"""Clients, their secrets, and the file that lists them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.token.domain.clients import Client, ClientSecret, SecretDigest
from services.token.oauth_clients import ClientsInvalid, load_clients
from services.token.tests.oauth import KNOWN, entry

SECRET = ClientSecret.parse("gh_cs_" + "A" * 43) or ClientSecret("")
GOOD = entry("orders", KNOWN["orders"], [SECRET])


def complaint(tmp_path: Path, text: str) -> str:
    """Return what is said of a file with this text; it is always named."""
    file = tmp_path / "clients.toml"
    file.write_text(text)
    with pytest.raises(ClientsInvalid) as invalid:
        load_clients(file)
    assert all(line.startswith(f"OAUTH_CLIENTS_FILE {file}: ") for line in invalid.value.lines)
    return "\n".join(invalid.value.lines)


class TestSecrets:
    """Made here, stored as digests."""

    def test_have_256_random_bits_and_a_form(self) -> None:
        """Which log redaction and secret scanners know."""
        secret = ClientSecret.new(lambda count: b"\0" * count)

        assert secret.text == "gh_cs_" + "A" * 43
        assert repr(secret) == "ClientSecret()"
        assert len({ClientSecret.new().text for _ in range(100)}) == 100

    @pytest.mark.parametrize("text", ["", "hunter2", "gh_cs_short", "gh_rt_" + "A" * 43])
    def test_of_another_form_are_none(self, text: str) -> None:
        """Nobody can have a secret that people think of."""
        assert ClientSecret.parse(text) is None

    def test_digests_are_salted_and_match_one_secret(self) -> None:
        """Two of one secret look alike to nobody."""
        digest, again = SecretDigest.of(SECRET), SecretDigest.of(SECRET)

        assert str(digest) != str(again)
        assert digest.matches(SECRET)
        assert SecretDigest.parse(str(again)).matches(SECRET)
        assert not digest.matches(ClientSecret.new())

    @given(st.text())
    def test_what_is_no_digest_is_refused_without_repeating_it(self, text: str) -> None:
        """It may be the secret itself."""
        with pytest.raises(ValueError, match=r"^is not a digest of a secret$"):
            SecretDigest.parse(text)


class TestFile:
    """OAUTH_CLIENTS_FILE."""

    def test_gives_clients_by_their_ids(self, tmp_path: Path) -> None:
        """With their rights, and with every secret that works."""
        old, new = ClientSecret.new(), ClientSecret.new()
        (tmp_path / "f").write_text(GOOD + entry("helpdesk", KNOWN["helpdesk"], [old, new]))

        clients = load_clients(tmp_path / "f")

        helpdesk = clients["helpdesk"]
        assert [*clients] == ["orders", "helpdesk"]
        assert [*clients["orders"].introspects] == ["access_token"]
        assert not clients["orders"].revokes
        assert sorted(helpdesk.introspects) == ["access_token", "refresh_token"]
        assert (helpdesk.revokes, [*helpdesk.audiences]) == (True, ["gatehouse"])
        assert [helpdesk.has(one) for one in (old, new, SECRET)] == [True, True, False]
        assert helpdesk.actor == "client:helpdesk"

    def test_may_be_empty(self, tmp_path: Path) -> None:
        """Then nobody gets in."""
        (tmp_path / "f").touch()

        no_clients: dict[str, Client] = {}
        assert load_clients(tmp_path / "f") == no_clients

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("[[client]]", "[[client]", "at line 1"),
            ("[[client]]", "[[clients]]", "clients: Extra inputs"),
            ("[[client]]", "[client]", "client: Input should be a valid list"),
            ('"orders"', '"Or ders"', "client 1 (Or ders).client_id: String should match"),
            ('client_id = "orders"', "", "client 1.client_id: Field required"),
            ('client_id = "orders"', "client_id = 1", "client 1.client_id: "),
            ('"The orders"', '""', "client 1 (orders).name: "),
            ('"The orders"', '"a\\u0007"', "client 1 (orders).name: must be printable"),
            ("secrets = ", "secrets = [] # ", "client 1 (orders).secrets: List should have"),
            ('["gatehouse"]', "[]", "client 1 (orders).audiences: "),
            ('["access_token"]', '["id_token"]', "client 1 (orders).introspect.0: "),
            ('["access_token"]', "[]", "client 1 (orders): may do nothing: give it introspect"),
            ("introspect", "introspects", "client 1 (orders).introspects: Extra inputs"),
            ("sha256:", "md5:", "client 1 (orders).secrets.0: is not a digest of a secret"),
        ],
    )
    def test_says_what_is_wrong_and_where(
        self, tmp_path: Path, old: str, new: str, said: str
    ) -> None:
        """By line where it is no TOML, else by client and field."""
        assert said in complaint(tmp_path, GOOD.replace(old, new, 1))

    def test_never_repeats_a_secret(self, tmp_path: Path) -> None:
        """Which stands where its digest belongs; the command that helps is named."""
        digest = GOOD.split("'")[1]

        said = complaint(tmp_path, GOOD.replace(digest, SECRET.text))

        assert "holds a secret, not its digest" in said
        assert "python -m services.token clients secret" in said
        assert SECRET.text not in said

    def test_has_each_id_once(self, tmp_path: Path) -> None:
        """Else the last one would win."""
        assert "client_id orders stands twice" in complaint(tmp_path, GOOD + GOOD)

    def test_is_named_when_it_cannot_be_read(self, tmp_path: Path) -> None:
        """Not there, or not text."""
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        for name in ("nowhere", "binary"):
            with pytest.raises(ClientsInvalid, match=f"{name}: cannot be read"):
                load_clients(tmp_path / name)
