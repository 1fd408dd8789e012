"""OpenAI's protocols: chat completions, models."""
