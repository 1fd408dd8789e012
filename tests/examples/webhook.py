"""A workflow behind a webhook as a target: here a server of this program's own, yours is n8n's or Zapier's."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from callboard import Agency, Agent, WebhookTarget, handoff


class Workflow(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"text": f"ticket 1: {asked['task']} (asked by {asked['sender']})"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


async def main(address: str) -> None:
    tickets = WebhookTarget("Tickets", address, headers={"X-Key": "secret"}, description="Files tickets.")
    print(tickets)
    lead = Agent("Lead", "Delegate everything.", model="offline", handoffs=[handoff(tickets)])
    async with Agency(lead) as agency:
        answer = await agency.run("The printer is out of ink.")
        print(answer.text)
        print(answer.chain[0])


with HTTPServer(("127.0.0.1", 0), Workflow) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asyncio.run(main(f"http://127.0.0.1:{server.server_port}/webhook/0f2c9d"))
    server.shutdown()
