"""An agent leads a team of sub-agents: each is a tool, and a prompt function of its own. Offline as it stands."""

import json

from pydantic import BaseModel

from callboard import Agency, Agent, ChildSpec, Prompt, Request, SubAgent, ToolCall
from callboard.testing import FunctionModel


class Topic(BaseModel):
    topic: str


class Finding(BaseModel):
    text: str
    sure: float


def researcher(prompt: Prompt, given: Topic) -> None:
    """Runs before each step of a researcher, whose state is its own."""
    pages, set_pages = prompt.state("pages", 0)
    prompt.system("researcher", f"Find out about {given.topic}; you have read {pages} pages.")

    @prompt.tool(risk="safe", idempotent=True)
    def read_page() -> str:
        """Read one page more."""
        set_pages(lambda before: before + 1)
        return "read"


def critic(prompt: Prompt, given: Topic) -> None:
    prompt.system("critic", f"Say what speaks against {given.topic}.")


def lead(prompt: Prompt) -> None:
    findings, set_findings = prompt.state("findings", [], list[Finding])
    prompt.system("lead", "Ask your team, then write the report.")
    prompt.define_data("findings", findings)

    def keep(given: Topic, answer: Finding) -> None:  # recorded together with the answer
        set_findings(lambda before: [*before, answer])

    def research(name: str) -> SubAgent:
        return SubAgent(name, "Finds out.", Topic, researcher, response_schema=Finding, on_success=keep)

    prompt.agents("ask_researchers", "Asks several at once.", [research("web"), research("library")])
    prompt.agent("critic", "Judges a topic.", Topic, critic)


def model(request: Request) -> str | list[ToolCall]:
    """Stands for a vendor's model, of the lead and of its team."""
    told, last = request.messages[0].text, request.messages[-1]
    if "<researcher>" in told:
        if "read 2 pages" not in told:
            return [ToolCall(f"page{len(request.messages)}", "read_page", "{}")]
        topic = told.partition("about ")[2].partition(";")[0]
        return f'Here it is:\n```json\n{{"text": "{topic} is old", "sure": 0.8}}\n```'
    if "<critic>" in told:
        return "It stains."
    if last.role == "user":
        asked = [{"name": name, "args": {"topic": topic}} for name, topic in (("web", "tea"), ("library", "ink"))]
        calls = json.dumps({"calls": asked})
        return [ToolCall("all", "ask_researchers", calls), ToolCall("one", "critic", '{"topic": "ink"}')]
    return f"{told.count('text: ')} findings; {json.loads(last.text)['response']}"


agency = Agency(Agent("Lead", prompt=lead), model=ChildSpec(FunctionModel, (model,), name="model"))
answer = agency.run_sync("Report on tea and ink.")
for call in answer.steps[0].calls:
    print(call.output)
print(answer.text)
