"""Write `common_passwords.txt`: run `python -m services.identity.passwords.build_common_list`.

No leaked list stands behind it: nothing was copied from a breach corpus. It combines what every
public analysis of such corpora names (first names, sports, seasons, keyboard walks, "password"
itself) with the endings people add when a rule asks for a digit and a symbol (1!, 123!, @123,
the year). The order of words and endings is a rough one, by general knowledge, not measured. The
list is deterministic and can be read and argued about.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

_TARGET = Path(__file__).parent / "common_passwords.txt"


def _listed(text: str) -> list[str]:
    return text.split()


_WORDS = _listed("""
password qwerty iloveyou admin welcome monkey dragon letmein football baseball master sunshine
princess shadow superman batman michael jordan charlie ashley daniel jessica michelle andrew
joshua matthew jennifer thomas robert hunter ranger buster soccer hockey killer george andrea
computer internet service server system manager office company secret private access login user
guest test tester testing root oracle cisco changeme default temp temppass passw0rd trustno1
starwars pokemon naruto minecraft fortnite pepper ginger cookie chocolate banana orange cheese
summer winter spring autumn january february march april june july august september october
november december monday tuesday wednesday thursday friday saturday sunday london paris berlin
madrid newyork chicago dallas boston houston texas florida canada america england france germany
spain italy brazil india china japan russia mexico australia liverpool chelsea arsenal barcelona
realmadrid juventus yankees cowboys lakers steelers eagles packers patriots mustang ferrari
porsche mercedes corvette harley yamaha honda toyota google facebook apple windows samsung amazon
netflix microsoft linkedin twitter hello goodbye freedom forever lovely angel jesus heaven family
mother father sister brother friend friends purple yellow silver golden diamond crystal flower
rainbow butterfly dolphin tiger lion panther wolf eagle falcon phoenix thunder lightning storm
matrix ninja samurai warrior knight wizard merlin gandalf hobbit spiderman ironman avengers marvel
disney mickey snoopy scooby garfield tigger winnie pooh bailey maggie buddy rocky lucky max molly
sophie oliver jasper oscar nicole amanda samantha elizabeth stephanie melissa rachel hannah
victoria patricia barbara linda mary maria anna laura sarah emily emma olivia isabella david james
john william richard joseph charles christopher anthony mark donald steven paul kevin brian edward
ronald timothy jason jeffrey ryan jacob gary nicholas eric jonathan stephen larry justin scott
brandon benjamin samuel gregory frank alexander raymond patrick jack dennis jerry tyler aaron jose
adam nathan henry zachary douglas peter kyle walter ethan jeremy harold keith christian roger noah
gerald carl terry sean austin arthur lawrence jesse dylan bryan joe billy bruce albert willie
gabriel logan alan juan wayne roy ralph randy eugene vincent russell elijah louis bobby philip
johnny qwertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm qazwsx abcdef abcdefg
""")

_WALKS = _listed("""
123456 1234567 12345678 123456789 1234567890 12345 1234 654321 87654321 987654321 0987654321
111111 1111111 11111111 222222 333333 444444 555555 666666 777777 7777777 888888 88888888 999999
000000 00000000 121212 123123 123123123 112233 11223344 1122334455 123321 1234321 147258369 159753
159357 147852 258456 789456 789456123 456789 131313 101010 202020 212121 232323 252525 1q2w3e
1q2w3e4r 1q2w3e4r5t 1qaz2wsx 1qaz2wsx3edc qwer1234 asdf1234 zxcv1234 q1w2e3r4 q1w2e3r4t5 zaq12wsx
qazwsxedc qwertyui qwertyuiop qwertyuiop123 asdfghjkl asdfghjkl1 zxcvbnm123 abc123 abcd1234
abc12345 abcdefgh a1b2c3d4 aa123456 a123456 a12345678 aaaaaa aaaaaaaa abcabc xxxxxx zzzzzz qqqqqq
qweasd qweasdzxc asdasd asdqwe poiuytrewq mnbvcxz lkjhgfdsa 1a2b3c 1a2b3c4d p@ssw0rd p@ssword
pa$$word pa$$w0rd passw0rd passw0rd1 passpass loveyou iloveu iloveyou2 iloveme letmein1 welcome1
admin123 admin1234 administrator root123 toor changeit changeme1 superuser
""")

_ENDINGS = _listed("""
1 123 12 1234 2 12345 123456 7 3 11 22 23 01 13 10 99 88 69 77 00 007 111 321 666 777 786 2000
2010 2012 2015 2018 2019 2020 2021 2022 2023 2024 2025 2026 1990 1995 ! . 1! 123!
""")

_SATISFYING_ENDINGS = _listed("""
1! 123! @123 1@ 12! 1234! @1 #1 123# 123@ !1 !123 1. 1? 1$ 1# 123. 123$ @12 @1234 12345! #123 $1
2020! 2021! 2022! 2023! 2024! 2025! 2026! @2020 @2021 @2022 @2023 @2024 @2025 @2026 2023# 2024#
2025# 01! 11! 69! 99! 007! 321! 1!! 12!@ 123!@# 1234@
""")

_LEET = str.maketrans({"a": "@", "o": "0", "i": "1", "s": "$", "e": "3"})
_PARTIAL_LEETS = tuple(
    str.maketrans(plain, leet)
    for plain, leet in (("a", "@"), ("o", "0"), ("ao", "@0"), ("s", "$"), ("e", "3"), ("i", "1"))
)
_LEET_ENDINGS = ("", "1", "!", "1!", "123", "123!", "2024!", "2025!", "2026!", "#1", "12", "1234")
_LONG = 15
_TOP_LONG = 72


def general() -> Iterator[str]:
    """Yield what people choose where no rule stands."""
    yield from _WALKS
    yield from _WORDS
    for ending, word in product(_ENDINGS, _WORDS):
        yield word + ending


def satisfying() -> Iterator[str]:
    """Yield what people choose where upper case, digit and symbol are asked for."""
    for ending, word in product(_SATISFYING_ENDINGS, _WORDS):
        yield word.capitalize() + ending
    for word, leet, ending in product(_WORDS[:60], _PARTIAL_LEETS, _LEET_ENDINGS):
        yield word.capitalize().translate(leet) + ending
    for word, ending in product(_WORDS[:60], _LEET_ENDINGS):
        yield word.capitalize().translate(_LEET) + ending
    for walk in _WALKS:
        yield walk.capitalize() + "!"
        yield walk.capitalize() + "!1"


def long() -> Iterator[str]:
    """Yield what people choose where only length is asked for: words put together."""
    tops = _WORDS[:_TOP_LONG]
    for first, second in product(tops, tops):
        yield from (first + second, first + second + "1", first + second + "123")
    for walk, word in product(_WALKS, tops[:20]):
        yield word + walk


def satisfies_seed(password: str) -> bool:
    """Say whether *password* meets the seed's four settings."""
    return (
        len(password) >= 8  # noqa: PLR2004 - the seed's MIN_PASSWORD_LENGTH
        and any(c.isupper() for c in password)
        and any(c.isnumeric() for c in password)
        and any(not c.isalnum() for c in password)
    )


def _section(title: str, passwords: Iterable[str], seen: set[str]) -> list[str]:
    lines = [f"# {title}"]
    for password in passwords:
        if password.casefold() not in seen:
            seen.add(password.casefold())
            lines.append(password)
    return lines


def main() -> None:
    """Write the file."""
    seen: set[str] = set()
    lines = [
        "# Passwords that are refused whatever else they satisfy. Compared whole, without case.",
        "# Provenance: generated by build_common_list.py from well known words, keyboard walks",
        "# and endings; not copied from a breach corpus. Lines that begin with '# ' are comments.",
    ]
    lines += _section("General", general(), seen)
    lines += _section("Meeting the seed's rules", filter(satisfies_seed, satisfying()), seen)
    lines += _section("Long", (p for p in long() if len(p) >= _LONG), seen)
    _TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
