"""Who is asked next, and who is left out for a while. No sockets."""

from typing import Any

import pytest

from cortex_gateway.adapters.pool.addresses import read_addresses
from cortex_gateway.adapters.pool.replicas import EJECTED, EJECTED_AT_MOST, FAILURES, Replica, Replicas


def replicas(count: int = 3, ejected: Any = None) -> Replicas:
    text = ",".join(f"http://10.0.0.{number}:3001" for number in range(1, count + 1))
    return Replicas(read_addresses(text), *([ejected] if ejected else []))


def choose(among: Replicas, now: float = 0.0, avoid: Replica | None = None, *, safe: bool = True) -> Replica:
    chosen = among.choose(now, avoid, safe=safe)
    assert chosen is not None
    return chosen


def eject(among: Replicas, replica: Replica, now: float = 0.0) -> None:
    for _ in range(FAILURES):
        among.failed(replica, now)


class TestChoice:
    def test_the_one_with_the_fewest_requests_under_way_is_asked(self) -> None:
        among = replicas()
        among.all[0].outstanding, among.all[1].outstanding, among.all[2].outstanding = 2, 1, 3

        assert [choose(among) for _ in range(6)] == [among.all[1]] * 6

    def test_ties_are_asked_in_turn(self) -> None:
        among = replicas()

        asked = [choose(among) for _ in range(6)]

        assert {id(replica) for replica in asked[:3]} == {id(replica) for replica in among.all}
        assert asked[:3] == asked[3:]

    def test_the_one_that_failed_is_not_asked_again_where_there_is_another(self) -> None:
        among = replicas(2)

        assert {choose(among, avoid=among.all[0]) for _ in range(4)} == {among.all[1]}
        assert choose(replicas(1), avoid=among.all[0]) is not None

    def test_a_second_try_goes_where_the_last_one_went_well(self) -> None:
        among = replicas()
        among.failed(among.all[1], 0.0)
        among.all[2].outstanding = 100

        assert choose(among, avoid=among.all[0]) is among.all[2]

    def test_the_only_one_is_asked_whatever_it_did(self) -> None:
        among = replicas(1)
        eject(among, among.all[0])

        assert choose(among) is among.all[0]
        assert choose(among, avoid=among.all[0]) is among.all[0]


class TestEjection:
    def test_failures_in_a_row_eject(self) -> None:
        told: list[tuple[Replica, float]] = []
        among = replicas(ejected=lambda replica, seconds: told.append((replica, seconds)))
        for _ in range(FAILURES - 1):
            among.failed(among.all[0], 0.0)
        among.answered(among.all[0])
        for _ in range(FAILURES - 1):
            among.failed(among.all[0], 0.0)
        assert told == []

        among.failed(among.all[0], 0.0)

        assert told == [(among.all[0], EJECTED)]
        assert among.all[0] not in {choose(among) for _ in range(9)}

    def test_one_always_stays_in(self) -> None:
        among = replicas()
        for replica in among.all:
            eject(among, replica)

        assert choose(among) is among.all[2]

    def test_when_its_time_is_over_one_request_probes_it(self) -> None:
        among = replicas()
        out = among.all[0]
        eject(among, out)

        assert out not in {choose(among, EJECTED - 0.001) for _ in range(9)}
        assert [choose(among, EJECTED) for _ in range(9)].count(out) == 1

    def test_what_must_not_be_sent_twice_probes_later(self) -> None:
        among = replicas()
        out = among.all[0]
        eject(among, out)

        assert out not in {choose(among, 2 * EJECTED - 0.001, safe=False) for _ in range(9)}
        assert out in {choose(among, 2 * EJECTED, safe=False) for _ in range(9)}

    def test_a_probe_that_succeeds_lets_it_back(self) -> None:
        among = replicas(2)
        out = among.all[0]
        eject(among, out)
        while choose(among, EJECTED) is not out:
            pass

        among.answered(out)

        assert [choose(among, EJECTED) for _ in range(4)].count(out) == 2

    def test_a_probe_that_fails_ejects_it_for_twice_as_long_up_to_a_bound(self) -> None:
        told: list[float] = []
        among = replicas(ejected=lambda _replica, seconds: told.append(seconds))
        out, now = among.all[0], 0.0
        eject(among, out)
        for _ in range(7):
            now += told[-1]
            while choose(among, now) is not out:
                pass
            among.failed(out, now)
            assert out not in {choose(among, now + told[-1] - 0.001) for _ in range(9)}

        assert told == [1.0, 2.0, 4.0, 8.0, 16.0, EJECTED_AT_MOST, EJECTED_AT_MOST, EJECTED_AT_MOST]

    def test_what_was_under_way_when_it_was_ejected_does_not_eject_it_for_longer(self) -> None:
        told: list[float] = []
        among = replicas(ejected=lambda _replica, seconds: told.append(seconds))
        for _ in range(3 * FAILURES):
            among.failed(among.all[0], 0.5)

        assert told == [EJECTED]

    def test_a_failure_is_the_services_where_no_other_replica_is_known_to_do_better(self) -> None:
        among = replicas(2)

        assert among.failed(among.all[0], 0.0) is False
        assert among.failed(among.all[1], 0.0) is True
        among.answered(among.all[0])
        assert among.failed(among.all[1], 0.0) is False
        assert replicas(1).failed(replicas(1).all[0], 0.0) is False  # not of this service: nothing is known of its own

    def test_a_second_try_is_no_probe(self) -> None:
        among = replicas()
        eject(among, among.all[0])

        assert among.all[0] not in {choose(among, EJECTED, avoid=among.all[1]) for _ in range(9)}


class TestErrors:
    """500, and whatever else is an answer of a replica that is there, and not well."""

    def test_errors_in_a_row_eject_beside_another_that_gives_none(self) -> None:
        among = replicas(2)
        for _ in range(FAILURES - 1):
            among.erred(among.all[0], 0.0)
        assert among.all[0] in {choose(among) for _ in range(4)}

        among.erred(among.all[0], 0.0)

        assert {choose(among) for _ in range(4)} == {among.all[1]}

    def test_one_that_all_give_ejects_nobody(self) -> None:
        among = replicas(2)
        for _ in range(3 * FAILURES):
            for replica in among.all:
                among.erred(replica, 0.0)

        assert {choose(among) for _ in range(4)} == set(among.all)

    def test_the_last_one_stays(self) -> None:
        among = replicas(2)
        eject(among, among.all[0])
        for _ in range(FAILURES):
            among.erred(among.all[1], 0.0)

        assert choose(among) is among.all[1]

    def test_a_good_answer_begins_a_new_count(self) -> None:
        among = replicas(2)
        for _ in range(FAILURES):
            for _ in range(FAILURES - 1):
                among.erred(among.all[0], 0.0)
            among.answered(among.all[0])

        assert {choose(among) for _ in range(4)} == set(among.all)

    def test_a_probe_that_errs_is_ejected_again_unless_all_err(self) -> None:
        among = replicas(2)
        out = among.all[0]
        for _ in range(FAILURES):
            among.erred(out, 0.0)
        for now, others in ((EJECTED, False), (EJECTED * 3, True)):
            while choose(among, now) is not out:
                pass
            if others:
                among.erred(among.all[1], now)
            among.erred(out, now)
            assert (out in {choose(among, now) for _ in range(4)}) is others

    def test_they_are_no_evidence_against_the_service(self) -> None:
        among = replicas(2)
        among.erred(among.all[0], 0.0)

        assert among.failed(among.all[1], 0.0) is False


class TestSilence:
    """Of one that takes connections and does not say that it is there."""

    @pytest.mark.parametrize("count", [1, 2])
    def test_nobody_is_asked_where_all_are_silent(self, count: int) -> None:
        among = replicas(count)
        for replica in among.all:
            among.silent(replica)

        assert among.choose(EJECTED_AT_MOST * 9, None, safe=True) is None

    def test_one_that_answers_anything_is_asked_rather_than_one_that_is_silent(self) -> None:
        among = replicas(2)
        eject(among, among.all[0])
        among.silent(among.all[1])

        assert {choose(among, 0.0) for _ in range(4)} == {among.all[0]}
        assert {choose(among, 0.0, avoid=among.all[1]) for _ in range(4)} == {among.all[0]}

    def test_the_only_one_that_speaks_again_is_in(self) -> None:
        among = replicas(1)
        among.silent(among.all[0])

        among.spoken(among.all[0], 7.0)

        assert choose(among, 7.0) is among.all[0]
        assert among.all[0].ejections == 0

    def test_one_of_several_that_speaks_again_is_probed(self) -> None:
        among = replicas(2)
        among.silent(among.all[0])

        among.spoken(among.all[0], 7.0)

        assert [choose(among, 7.0) for _ in range(9)].count(among.all[0]) == 1

    @pytest.mark.parametrize("count", [1, 2])
    def test_an_answer_of_what_was_under_way_lets_it_back(self, count: int) -> None:
        among = replicas(count)
        for replica in among.all:
            among.silent(replica)

        among.answered(among.all[0])

        assert {choose(among) for _ in range(4)} == {among.all[0]}

    def test_a_failure_of_what_was_under_way_changes_nothing(self) -> None:
        told: list[float] = []
        among = replicas(ejected=lambda _replica, seconds: told.append(seconds))
        among.silent(among.all[0])
        eject(among, among.all[0], 99.0)

        assert told == [EJECTED]
        assert among.all[0] not in {choose(among, 999.0) for _ in range(9)}

    def test_an_address_that_is_new_is_asked(self) -> None:
        among = replicas(1)
        among.silent(among.all[0])

        among.become(read_addresses("http://10.0.0.9:3001"))

        assert choose(among).address.host == "10.0.0.9"
