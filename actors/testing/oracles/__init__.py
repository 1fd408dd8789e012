"""What a run is judged by beyond the runtime's promises: sequential models, liveness, the flows of LLM agents."""
