"""Public skill folders: ``SKILL.md`` with what stands beside it, as agentskills.io defines them."""
