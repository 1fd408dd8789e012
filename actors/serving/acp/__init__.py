"""The Agent Client Protocol, by which editors talk to agents over stdio: https://agentclientprotocol.com"""
