"""Team files: a team of agents described in YAML.

.. code-block:: yaml

    agents:                     # the first one is asked
      Planner:
        instructions: planner.md          # a text, or the path of a markdown file beside this one
        tools: [LS, Read]
        handoffs: [Developer]             # the same as the flow below
      Developer:
        instructions: You write the report that you are asked for.
        model: ${MODEL:-}                 # empty: the first provider's own default
        tools: [LS, Glob, Grep, Read, Write, my_tools:count_words]
    flows:
      - [Planner, Developer]              # who may hand off to whom; "*" stands for everyone
    guardrails:                           # for all agents, or those that `agents: […]` names
      secrets: {find: [vendor_keys, card_numbers], where: [input, output, tool_result], action: redact}
    providers:                            # left out: whatever the environment has keys for, else the offline model
      openai:
        api_key: ${OPENAI_API_KEY}
        limits: {requests_per_minute: 500}

All sections about models are those of ``llm.yaml`` (`providers.config.llmfile`). A file that is wrong is refused as a
whole, with its name, the line, and what was expected there. What a file names as ``module:name`` is imported, and
nothing else is; where Python looks for it is the program's business, the file cannot say.
"""

from .opening import open_agency
from .team import Team, load_team

__all__ = ["Team", "load_team", "open_agency"]
