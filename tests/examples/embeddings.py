"""Find the text nearest to a question. Offline as it stands; name an embedding model whose key is set for meaning."""

import asyncio

from callboard import EmbeddingRequest, System, pool_from_environment

MODEL = "offline:hashing"  # or "text-embedding-3-small" with OPENAI_API_KEY, "gemini-embedding-001" with GEMINI_API_KEY
TEXTS = [
    "The print server is restarted with: systemctl restart cups",
    "Holidays are asked for in the staff portal, two weeks ahead",
    "The coffee machine is cleaned on Fridays",
]


async def main() -> None:
    async with System("search") as system:
        pool = system.supervise(pool_from_environment([MODEL]))
        kept = await pool.ask(EmbeddingRequest(TEXTS, MODEL))
        asked = await pool.ask(EmbeddingRequest(["How do I restart the print server?"], MODEL))
        likeness = [sum(map(float.__mul__, vector, asked.vectors[0])) for vector in kept.vectors]
        print(TEXTS[likeness.index(max(likeness))])
        print(f"{len(kept.vectors)} vectors of {kept.dimensions} numbers by {kept.provider}:{kept.model}")
        print(kept.notes[0])


asyncio.run(main())
