"""Delegations over HTTP: taken back here; they are used at the token endpoint."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from market.base.caller import Caller
from market.faces.http import acts
from market.faces.http.binding import post
from market.faces.http.desk import Desk
from market.protocol.commitments import Nonce
from market.protocol.wire import DelegationView, RevokeDelegation


class DelegationController(Controller):
    path = "/v1/delegations"
    tags = ("access",)

    @post("/{jti:str}/revoke", status=200, refuses=(429,), scopes=("order", "oversee"), frees=True)
    async def revoke_delegation(
        self,
        jti: FromPath[Nonce],
        request: JSONBody[RevokeDelegation],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> DelegationView:
        """Take back a delegation that the caller has signed, used or not, by its ``jti``.

        The sub-agent's tokens stop at once, and its live streams end. A repeat changes nothing.
        """
        view = await desk.store.write(
            acts.revoke_delegation, caller=caller, jti=jti, reason=request.reason
        )
        desk.doors.forget(caller.agent_id)
        return view
