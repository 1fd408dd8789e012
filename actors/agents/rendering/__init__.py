"""Events and answers as others take them: lines for people and logs, chunks for OpenAI's clients."""
