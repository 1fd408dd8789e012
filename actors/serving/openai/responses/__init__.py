"""OpenAI's Responses, and the conversations that they belong to."""
