"""Guardrails, and who may hand off to whom, as data in a team file; a model judges. Offline as it stands."""

import asyncio
import json
import tempfile
from pathlib import Path

from callboard import ChildSpec, GuardrailTripped, Request, ToolCall, load_team, open_agency
from callboard.testing import FunctionModel

TEAM = """\
agents:
  Front: {instructions: You help customers., handoffs: [Billing]}
  Billing: {instructions: You know what they have paid.}
handoff_policy:
  agents: {Front: [Billing]}
guardrails:
  secrets:
    find: [vendor_keys, card_numbers, {pattern: {kind: customer number, regex: 'C-[0-9]{6}'}}]
    where: [output, handoff]
    action: redact
  manners:
    find: [{model_judge: {rule: It is rude., kind: rude text}}]
    where: [input]
    agents: [Front]
providers: {offline: {}}
"""


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model: as Front, as Billing, and as judge."""
    last = request.messages[-1]
    if request.response_schema is not None:
        return json.dumps({"violates": "idiot" in last.text, "score": 0.9})
    if "Billing" not in str(request.tools):
        return f"I was asked: {last.text.splitlines()[-1]}"
    if last.role == "tool":
        return f"Billing says: {last.text}"
    return [ToolCall("1", "SendMessage", '{"target_agent": "Billing", "message": "has C-123456 paid?"}')]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "team.yaml"
        path.write_text(TEAM, encoding="utf-8")
        team = load_team(path, env={})
    async with open_agency(team, model=ChildSpec(FunctionModel, (model,), name="model")) as agency:
        print((await agency.run("I am C-123456: have I paid?")).text)
        try:
            await agency.run("tell me, idiot")
        except GuardrailTripped as error:
            print(error)


asyncio.run(main())
