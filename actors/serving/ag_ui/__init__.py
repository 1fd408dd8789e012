"""AG-UI, the protocol by which user interfaces talk to agents: https://docs.ag-ui.com"""
