"""The password policy: one verdict, with a code per broken rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.passwords import PRESETS, PasswordPolicy, Person, normalized
from services.identity.passwords.build_common_list import satisfies_seed
from services.identity.passwords.common import common_passwords

ADA = Person("ada.lovelace", "countess@example.com")


def codes(password: str, preset: str = "seed", person: Person = ADA) -> set[str]:
    """Return the codes of the rules that *password* breaks."""
    complaints = PRESETS[preset]().complaints(password, person, pointer="/password")
    assert {complaint.pointer for complaint in complaints} <= {"/password"}
    return {complaint.code for complaint in complaints}


class TestSeedPreset:
    """The seed's four settings."""

    def test_accepts_the_seeds_own_example(self) -> None:
        """The README's password passes."""
        assert codes("SecurePass123!", person=Person("testuser", "user@example.com")) == set()

    @pytest.mark.parametrize(
        ("password", "code"),
        [
            ("Zk9!xqw", "password_too_short"),
            ("zk9!xqwv", "password_needs_uppercase"),
            ("Zkk!xqwv", "password_needs_number"),
            ("Zk99xqwv", "password_needs_special"),
            ("Zk9!" + "x" * 1021, "password_too_long"),
        ],
    )
    def test_names_the_one_broken_rule(self, password: str, code: str) -> None:
        """Each rule has a code of its own."""
        assert codes(password) == {code}

    def test_names_all_broken_rules_at_once(self) -> None:
        """Nobody has to try five times."""
        assert codes("x") == {
            "password_too_short",
            "password_needs_uppercase",
            "password_needs_number",
            "password_needs_special",
        }

    def test_counts_unicode_for_the_classes(self) -> None:
        """Letters, digits and symbols of every script count."""
        assert codes("Éèàùçñ٣…zq") == set()

    def test_accepts_128_and_1024_code_points(self) -> None:
        """Long passwords are welcome."""
        assert codes("Zk9!" + "x" * 124) == set()
        assert codes("Zk9!" + "\U0001f600" * 1020) == set()


class TestOtherPresets:
    """ASVS and NIST: length, and no composition."""

    def test_asvs_asks_for_eight_characters(self) -> None:
        """Seven are refused, eight accepted (ASVS 6.2.1)."""
        assert codes("zkqxwvj", "asvs") == {"password_too_short"}
        assert codes("zkqxwvjp", "asvs") == set()

    def test_nist_asks_for_fifteen_characters_and_nothing_else(self) -> None:
        """A passphrase passes (NIST SP 800-63B-4 §3.1.1.2)."""
        assert codes("correct horse battery staple", "nist") == set()
        assert codes("zkqxwvjpzkqxwv", "nist") == {"password_too_short"}
        assert codes("\U0001f600" * 15, "nist") == set()

    def test_counts_code_points_after_normalisation(self) -> None:
        """A letter with its accent is one, however it was typed."""
        assert codes("e\u0301" * 14, "nist") == {"password_too_short"}
        assert codes("e\u0301" * 15, "nist") == set()

    def test_settings_override_a_preset(self) -> None:
        """What an operator says stands above the preset."""
        policy = PRESETS["nist"]().with_overrides(min_length=20, require_numbers=None)
        assert (policy.min_length, policy.require_numbers) == (20, False)


class TestCommonPasswords:
    """What everybody chooses."""

    def test_the_list_is_long_enough_for_each_preset(self) -> None:
        """At least 3000 entries of each kind (ASVS 6.2.4)."""
        words = common_passwords()
        assert len([word for word in words if len(word) >= 8]) >= 3000
        assert len([word for word in words if len(word) >= 15]) >= 3000

    def test_three_thousand_that_meet_the_seeds_rules_are_refused(self) -> None:
        """Composition alone does not make a password good."""
        listed = [word.capitalize() for word in common_passwords()]
        satisfying = [word for word in listed if satisfies_seed(word)][:3000]
        assert len(satisfying) == 3000
        assert all("password_common" in codes(word) for word in satisfying)

    @pytest.mark.parametrize("password", ["Password1!", "PASSWORD1!", "P@ssw0rd1!", "Welcome2026!"])
    def test_refuses_what_rules_breed(self, password: str) -> None:
        """Case does not matter."""
        assert "password_common" in codes(password)

    def test_compares_the_whole_password(self) -> None:
        """A common word inside a long password is no harm (N-08)."""
        assert codes("Mypassword1!zebra") == set()


class TestPersonalPasswords:
    """The name in disguise."""

    @pytest.mark.parametrize(
        "password",
        [
            "Ada.Lovelace1",
            "Ada.Lovelace-99",
            "4da.L0velace!1",
            "ecalevol.ada",
            "Countess@Example.com",
            "Countess2026!",
            "C0unte$$-77",
            "Gatehouse2026!",
            "G4t3house!9",
        ],
    )
    def test_refuses_names_and_their_derivatives(self, password: str) -> None:
        """Username, address, local part and product, plain or in leet."""
        assert "password_contains_personal" in codes(password)

    @pytest.mark.parametrize("password", ["Savanna-River-7", "Countess-of-the-4-Winds"])
    def test_accepts_a_name_inside_something_longer(self, password: str) -> None:
        """Only the whole password is compared, not any substring."""
        assert codes(password, person=Person("anna", "countess@example.com")) == set()


class TestPublishedPolicy:
    """What clients may show."""

    def test_has_the_rules_but_not_the_list(self) -> None:
        """Nobody learns from it what is refused."""
        shown = PRESETS["seed"]().published()
        assert shown["min_length"] == 8
        assert shown["require_special_chars"] is True
        assert "common" not in shown


@given(st.text(max_size=40))
def test_the_verdict_does_not_depend_on_the_unicode_form(password: str) -> None:
    """A password and its normal form get the same answer."""
    policy = PasswordPolicy(preset="seed", min_length=8, require_numbers=True)
    given_form = policy.complaints(password, ADA, pointer="/password")
    assert given_form == policy.complaints(normalized(password), ADA, pointer="/password")
