"""An agency's answers as clients of OpenAI's protocol take them: whole, and in chunks. Offline as it stands."""

import asyncio

from callboard import Agency, Agent, as_chunks, as_response


async def main() -> None:
    async with Agency(Agent("Echo", "Answer.", model="offline")) as agency:
        response = as_response(await agency.run("Where is it?"), created=0)
        print(response["object"], response["model"], response["choices"][0]["message"]["content"])
        said = ""
        async for chunk in as_chunks(agency.run_streaming("Where is it?"), created=0):
            for choice in chunk["choices"]:
                said += choice["delta"].get("content") or ""
        print(said == response["choices"][0]["message"]["content"])


asyncio.run(main())
