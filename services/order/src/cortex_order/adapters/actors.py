"""Each order is a virtual actor: found by tenant and id, there when a command comes, and gone again when it is idle.

Owns who carries out an order's commands in this process: one at a time, with the order in memory in between. Refuses
the rules (`usecases/carrying.py`), and to be what decides between two replicas: the store's expected version does, so
an order that has an actor in each of them is as safe as one that has none.
"""

from dataclasses import dataclass, replace
from typing import Final, cast

from cortex_core.actors import Actor, ActorOptions, ActorSystem, Supervision
from cortex_core.kernel import CortexError
from cortex_order.domain import Create, Order, OrderCommand, OrderId
from cortex_order.ports import Once
from cortex_order.usecases import CarryOut

KIND: Final = "order"
_AT_ONCE: Final = Supervision(
    backoff=0.0
)  # who fails has forgotten its order: there is nothing that a pause could mend


@dataclass(frozen=True, slots=True)
class Creation:
    """A new order's first message."""

    command: Create
    once: Once | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The command's answer is no. An answer, and not the actor's failure: nobody has to supervise it."""

    error: CortexError


class OrderActor(Actor):
    """Remembers its order between commands; whatever goes wrong, it forgets it, and reads it anew for the next."""

    def __init__(self, order_id: OrderId, carry_out: CarryOut) -> None:
        self._order_id = order_id
        self._carry_out = carry_out
        self._order: Order | None = None

    async def receive(self, message: Creation | OrderCommand) -> Order | Refused:
        try:
            order = await self._carried_out(message)
        except CortexError as error:
            self.context.passivate()
            return Refused(error)
        if order.is_settled:
            self.context.passivate()  # nothing more is to come
        self._order = order
        return replace(order)  # the asker's own: ours goes on changing

    async def _carried_out(self, message: Creation | OrderCommand) -> Order:
        known, self._order = self._order, None
        if isinstance(message, Creation):
            return await self._carry_out.create(self._order_id, message.command, message.once)
        return await self._carry_out(known, self._order_id, message)


class ActorOrders:
    """`OrderCommands` by the actors of `system`, which keeps those of each tenant apart."""

    def __init__(self, system: ActorSystem, carry_out: CarryOut, *, idle: float, max_active: int) -> None:
        """`idle`: seconds without a command after which an order leaves memory. Of more than `max_active`, the one that
        has rested longest leaves it at once; where all have commands, the next order's is refused (TooManyActive)."""
        self._system = system
        options = ActorOptions(idle=idle, supervision=_AT_ONCE)
        system.register(KIND, lambda id_: OrderActor(OrderId(id_), carry_out), options, max_active=max_active)

    async def create(self, order_id: OrderId, command: Create, once: Once | None = None) -> Order:
        return await self._ask(order_id, Creation(command, once))

    async def execute(self, order_id: OrderId, command: OrderCommand) -> Order:
        return await self._ask(order_id, command)

    async def _ask(self, order_id: OrderId, message: Creation | OrderCommand) -> Order:
        answer = cast("Order | Refused", await self._system.ref(KIND, order_id).ask(message))
        if isinstance(answer, Refused):
            raise answer.error
        return answer
