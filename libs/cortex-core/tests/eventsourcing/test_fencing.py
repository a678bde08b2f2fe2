import pytest

from cortex_core.eventsourcing import Fence


@pytest.mark.parametrize(("name", "epoch", "argument"), [("", 1, "name"), ("shard-1", 0, "epoch"), ("a", -1, "epoch")])
def test_a_fence_that_says_nothing_is_refused(name: str, epoch: int, argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        Fence(name, epoch)
