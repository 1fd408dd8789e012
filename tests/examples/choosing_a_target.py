"""A function that chooses to whom a task goes, and who may hand off to whom. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, HandoffPolicy, ModelTarget, handoff

billing = Agent("Billing", "You know the bills.", model="offline", description="Knows the bills.")
support = Agent("Support", "You know the machines.", model="offline", description="Knows the machines.")


@handoff(name="delegate_to_whoever_knows", description="Give a question to whoever knows.")
def route(message: str) -> Agent:
    return billing if "bill" in message else support


careful = ModelTarget("offline", name="Careful", temperature=0.0, description="Thinks twice.")
desk = Agent("Desk", "Delegate everything.", model="offline", handoffs=[route, handoff(careful, summary=True)])


async def main() -> None:
    policy = HandoffPolicy({"Desk": ["Billing", "Support"]})
    async with Agency(desk, billing, support, handoff_policy=policy) as agency:
        print(agency.may_reach("Desk", "Desk-Careful"))  # the policy does not allow it
        print((await agency.run("My bill is wrong.")).chain)
        agency.revoke("Desk", "Billing")
        print((await agency.run("My bill is wrong.")).chain)
        agency.allow("Desk", "Billing")
        print((await agency.run("My bill is wrong.")).chain)


asyncio.run(main())
