"""API keys: their form, their file, who has them, and how much they may ask for."""

from __future__ import annotations

import hmac
import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service_kit.identity import keys, keys_editing, keys_file
from service_kit.identity.callers import Caller
from service_kit.identity.errors import (
    IdentityError,
    RateLimitedError,
    TooManyCallsError,
    UnauthenticatedError,
)
from service_kit.identity.key_ring import KeyRing
from service_kit.identity.keys_file import Key, Keys
from service_kit.identity.limits import Limiter, Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_key(**changes: Any) -> tuple[str, Key]:
    """A key, and what is kept of it."""
    key_id, secret = keys.new()
    made = {"name": "test", "scopes": ("search",), "indexes": ("*",), "created_at": NOW}
    return secret, Key(id=key_id, sha256=keys.digest(secret), **{**made, **changes})


class TestForm:
    def test_a_key_has_its_id_and_256_random_bits(self) -> None:
        key_id, key = keys.new()

        assert keys.id_of(key) == key_id
        assert key.startswith(f"isk_{key_id}_")
        assert len(key.removeprefix(f"isk_{key_id}_")) * 6 >= 256
        assert keys.new()[1] != key

    @pytest.mark.parametrize("text", ["", "isk_", "isk_0123456789ab_short", "Isk_x_y", "a.b.c"])
    def test_anything_else_is_none(self, text: str) -> None:
        assert keys.id_of(text) is None


class TestFile:
    def test_keeps_everything_but_the_secret(self, tmp_path: Path) -> None:
        file = tmp_path / "folder" / "keys.json"
        secret, key = a_key(expires_at=NOW + timedelta(days=1), indexes=("a", "b*"))

        keys_editing.add(file, key)

        assert keys_file.read(file).keys == (key,)
        assert secret.split("_", 2)[2] not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_keeps_the_mode_that_the_operator_gave_it(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        keys_editing.add(file, a_key()[1])
        file.chmod(0o640)

        keys_editing.add(file, a_key()[1])

        assert stat.S_IMODE(file.stat().st_mode) == 0o640

    def test_a_link_to_it_stays_one(self, tmp_path: Path) -> None:
        file, link = tmp_path / "keys.json", tmp_path / "link.json"
        keys_editing.add(file, a_key()[1])
        link.symlink_to(file)

        keys_editing.add(link, a_key()[1])

        assert link.is_symlink()
        assert len(keys_file.read(file).keys) == 2

    def test_several_at_a_time_lose_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        made = [a_key()[1] for _ in range(8)]
        threads = [threading.Thread(target=keys_editing.add, args=(file, key)) for key in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {key.id for key in keys_file.read(file).keys} == {key.id for key in made}

    def test_a_revoked_key_says_when(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        _, key = a_key()
        keys_editing.add(file, key)

        first = keys_editing.revoke(file, key.id)
        again = keys_editing.revoke(file, key.id)

        assert first.revoked_at is not None
        assert again == first == keys_file.read(file).keys[0]

    def test_a_key_that_is_not_there_cannot_be_revoked(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.json"
        keys_editing.add(file, a_key()[1])

        with pytest.raises(IdentityError, match="no key 'x'"):
            keys_editing.revoke(file, "x")

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ({"version": 2}, "version"),
            ({"more": 1}, "more"),
            ({"keys": [{"id": "x"}]}, "keys.0.id"),
        ],
    )
    def test_one_that_is_wrong_is_refused_and_says_where(
        self, tmp_path: Path, change: dict[str, Any], what: str
    ) -> None:
        file = tmp_path / "keys.json"
        file.write_text(json.dumps({"version": 1, "keys": [], **change}))

        with pytest.raises(IdentityError, match=what):
            keys_file.read(file)

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]"])
    def test_what_is_no_json_is_refused(self, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "keys.json"
        file.write_bytes(content)

        with pytest.raises(IdentityError, match="no file of keys"):
            keys_file.read(file)

    def test_two_keys_of_one_id_are_refused(self) -> None:
        _, key = a_key()

        with pytest.raises(ValueError, match="same id"):
            Keys(keys=(key, key))

    @pytest.mark.parametrize(
        "change",
        [{"scopes": ("all",)}, {"scopes": ()}, {"indexes": ("A",)}, {"indexes": ("a*b",)}],
    )
    def test_scopes_and_indexes_that_cannot_be_are_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="validation error"):
            a_key(**change)


class TestRing:
    def test_finds_who_has_a_key(self) -> None:
        secret, key = a_key(scopes=("search", "admin"), indexes=("a",))

        caller = KeyRing(Keys(keys=(key,))).caller_of(secret)

        assert caller.id == f"key:{key.id}"
        assert len(caller.scopes) == 2
        assert caller.indexes == ("a",)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"revoked_at": NOW}, "revoked"),
            ({"expires_at": NOW}, "expired"),
            ({"sha256": keys.digest("other")}, "wrong"),
            ({"id": "0" * 12}, "no key"),
        ],
    )
    def test_refuses_keys_that_are_not_good_any_more(
        self, change: dict[str, Any], why: str
    ) -> None:
        secret, key = a_key()
        ring = KeyRing(
            Keys(keys=(key.model_copy(update=change),)), clock=lambda: NOW.timestamp() + 1
        )

        with pytest.raises(UnauthenticatedError) as refused:
            ring.caller_of(secret)

        assert why in refused.value.why
        assert why not in str(refused.value)

    @pytest.mark.parametrize("known", [True, False])
    def test_compares_in_constant_time_whether_or_not_it_knows_the_id(
        self, monkeypatch: pytest.MonkeyPatch, known: bool
    ) -> None:
        compared = []

        def compare(a: str, b: str) -> bool:
            compared.append((a, b))
            return a == b

        monkeypatch.setattr(hmac, "compare_digest", compare)
        secret, key = a_key()
        ring = KeyRing(Keys(keys=(key,) if known else ()))
        if known:
            ring.caller_of(secret)
        else:
            with pytest.raises(UnauthenticatedError):
                ring.caller_of(secret)

        assert [len(a) == len(b) == 64 for a, b in compared] == [True]

    def test_a_reload_forgets_nothing_of_what_was_used(self) -> None:
        secret, key = a_key(limits={"requests_per_second": 0.001, "burst": 1})
        ring = KeyRing(Keys(keys=(key,)))
        ring.caller_of(secret).limiter.take()

        ring.replace(Keys(keys=(key, a_key()[1])))

        with pytest.raises(RateLimitedError):
            ring.caller_of(secret).limiter.take()

    def test_says_whether_a_caller_still_has_what_they_had(self) -> None:
        secret, key = a_key(scopes=("search", "ingest"))
        ring = KeyRing(Keys(keys=(key,)))
        caller = ring.caller_of(secret)

        assert ring.still_has(caller)
        for changed in (
            (key.model_copy(update={"scopes": ("search",)}),),
            (key.model_copy(update={"indexes": ("a",)}),),
            (key.model_copy(update={"revoked_at": NOW}),),
            (),
        ):
            ring.replace(Keys(keys=changed))
            assert not ring.still_has(caller)


class TestIndexes:
    @pytest.mark.parametrize(
        ("allowed", "index", "may"),
        [
            (("*",), "x", True),
            (("*",), "", True),
            (("team-*",), "team-a", True),
            (("team-*",), "team", False),
            (("a",), "a", True),
            (("a",), "ab", False),
            (("a",), "", False),
            (("my-image-embeddings",), "", True),
            ((), "a", False),
        ],
    )
    def test_are_names_or_beginnings_and_none_is_the_default(
        self, allowed: tuple[str, ...], index: str, may: bool
    ) -> None:
        assert Caller("key:1", frozenset(), allowed).may_use(index) is may


class TestLimits:
    def test_a_burst_is_let_through_and_then_the_rate(self) -> None:
        now = [0.0]
        limiter = Limiter(Limits(requests_per_second=2, burst=3), clock=lambda: now[0])
        for _ in range(3):
            limiter.take()
        with pytest.raises(RateLimitedError) as refused:
            limiter.take()

        assert refused.value.retry_after == timedelta(seconds=0.5)
        now[0] = 0.5
        limiter.take()
        with pytest.raises(RateLimitedError):
            limiter.take()
        now[0] = 1000.0
        for _ in range(3):
            limiter.take()
        with pytest.raises(RateLimitedError):
            limiter.take()

    async def test_messages_of_a_stream_wait_for_their_turn(self) -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        limits = Limits(requests_per_second=10, burst=2)
        limiter = Limiter(limits, clock=lambda: 0.0, sleep=sleep)
        for _ in range(4):
            await limiter.wait()

        assert slept == pytest.approx([0.1, 0.2])

    def test_calls_at_a_time_are_bounded(self) -> None:
        limiter = Limiter(Limits(concurrent_calls=1))
        with limiter.running(), pytest.raises(TooManyCallsError), limiter.running():
            pass
        with limiter.running():
            pass

    async def test_without_limits_there_are_none(self) -> None:
        limiter = Limiter(Limits())
        for _ in range(1000):
            limiter.take()
            await limiter.wait()
