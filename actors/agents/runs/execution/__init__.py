"""One run after another, step by step: written down, then carried out, by model calls, tools and handoffs."""
