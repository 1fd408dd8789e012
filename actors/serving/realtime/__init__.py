"""Runs over a WebSocket, as text: asked, steered, decided, cancelled and gone on with."""
