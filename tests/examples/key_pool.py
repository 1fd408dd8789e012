"""A pool of keys, said in an `llm.yaml`, as an agency uses it.

The vendor here is simulated, over real HTTP on loopback; yours has its address and keys in the environment.
"""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from callboard import Agency, Agent, Completion, GetHealth, GetStats, Message
from callboard.providers.simulated import SimulatedProvider

FILE = """
default_model: acme:small
providers:
  acme:
    type: openai
    base_url: ${ACME_URL}
    models: [small]
    keys:                                 # each has limits to itself
      - ${ACME_KEY}
      - {api_key: "${ACME_SECOND_KEY}", limits: {requests_per_minute: 50}}
"""


HELLO = Completion(Message("assistant", "Good day."), "stop")


async def main(file: Path) -> None:
    async with SimulatedProvider(HELLO, keys=["k1", "k2"]) as server:
        os.environ |= {"ACME_URL": server.base_url, "ACME_KEY": "k1", "ACME_SECOND_KEY": "k2"}
        async with Agency(Agent("Clerk"), config=file) as team:
            answers = await asyncio.gather(*[team.run(f"Good day, says number {number}.") for number in range(10)])
            print({answer.text for answer in answers})
            assert team.pool is not None
            stats = await team.pool.ask(GetStats())
            print({name: counts.answered > 0 for name, counts in sorted(stats.endpoints.items())})
            health = await team.pool.ask(GetHealth())
            print([(one.name, one.available) for one in health.endpoints])


with TemporaryDirectory() as folder:  # yours stands where your program does: config="llm.yaml"
    file = Path(folder, "llm.yaml")
    file.write_text(FILE, encoding="utf-8")
    asyncio.run(main(file))
