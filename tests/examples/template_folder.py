"""Prompts in a folder of templates: two versions side by side, a shared piece, and a change while it runs."""

import asyncio
from pathlib import Path

from callboard import Agency, Agent, TemplateError, TemplateFolder

PROMPTS = Path("prompts")

TRIAGE = """\
weight: {weight}
variables:
  product: what they have bought
  orders: {{description: their last orders, type: list, default: []}}
system: |
  {greeting}
  {{% include "shared/tone.jinja" %}}
  {{% for order in orders %}}
  - {{{{ order.item }}}}: {{{{ order.state }}}}
  {{% endfor %}}
few_shot:
  - user: It never came.
    assistant: I am sorry. Which order is it?
user: A customer of {{{{ product }}}} writes.
"""


def write(path: str, text: str) -> None:
    (PROMPTS / path).parent.mkdir(parents=True, exist_ok=True)
    (PROMPTS / path).write_text(text)


async def main() -> None:
    write("shared/tone.jinja", "Be kind, and brief.\n")
    write("support/triage@1.yaml", TRIAGE.format(weight=3, greeting="You answer letters."))
    write("support/triage@2.yaml", TRIAGE.format(weight=1, greeting="You solve problems."))
    folder = TemplateFolder(PROMPTS, reload=True)
    print(folder.names, folder.template("support.triage").weights)

    orders = [{"item": "{{ x }}", "state": "lost"}]  # values are written as they are
    made = folder.template("support.triage@1").render({"product": "tea", "orders": orders})
    print(made.system, end="")
    print([message.text for message in made.few_shot], made.user)

    agent = Agent("Support", prompt=folder.prompt("support.triage", product="tea"))
    async with Agency(agent) as agency:
        for conversation in ("ann", "bob", "eve", "joe"):  # each keeps its version
            answers = [await agency.run("Where is it?", conversation=conversation) for _ in range(2)]
            print(conversation, *{answer.notes[-1] for answer in answers})

    write("support/triage@1.yaml", TRIAGE.format(weight=3, greeting="You answer {{ leters }}."))
    print(folder.template("support.triage@1").render({"product": "tea"}).system.splitlines()[0])  # as it was
    try:
        TemplateFolder(PROMPTS)
    except TemplateError as error:
        print(error)


asyncio.run(main())
