"""The names of OpenTelemetry's semantic conventions for generative AI, pinned: v0.1.0 of
open-telemetry/semantic-conventions-genai, all of them in development there.

Only what Callboard writes stands here. What the conventions have no word for begins with ``callboard.``.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"

# -- operations: the value of `OPERATION`, and how a span's name begins ------------------------------------------------

INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
RETRIEVAL: Final = "retrieval"

HANDOFF: Final = "handoff"
"""Of our own, as all from here on: what they are spans of, the conventions have no operation for."""
GUARDRAIL: Final = "guardrail"
APPROVAL: Final = "approval"
ATTEMPT: Final = "attempt"

# -- attributes --------------------------------------------------------------------------------------------------------

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
DATA_SOURCE: Final = "gen_ai.data_source.id"
RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
ERROR_TYPE: Final = "error.type"

SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
"""What is said, only where it is wanted, as all of this paragraph."""
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"

# -- attributes of our own ---------------------------------------------------------------------------------------------

RUN: Final = "callboard.run.id"
ROOT: Final = "callboard.run.root"
STEP: Final = "callboard.step"
COST: Final = "callboard.cost"
RESUMED: Final = "callboard.resumed"
HANDOFF_TARGET: Final = "callboard.handoff.target"
HANDOFF_KIND: Final = "callboard.handoff.kind"
GUARDRAIL_NAME: Final = "callboard.guardrail.name"
GUARDRAIL_WHERE: Final = "callboard.guardrail.where"
GUARDRAIL_KIND: Final = "callboard.guardrail.kind"
GUARDRAIL_COUNT: Final = "callboard.guardrail.count"
GUARDRAIL_ACTION: Final = "callboard.guardrail.action"
APPROVED: Final = "callboard.approval.approved"
ENDPOINT: Final = "callboard.pool.endpoint"
OUTCOME: Final = "callboard.pool.outcome"
ATTEMPTS: Final = "callboard.pool.attempt"
RESULTS: Final = "callboard.retrieval.results"

# -- metrics, as Prometheus writes them: dots are underscores, and the unit stands at the end --------------------------

AGENT_DURATION: Final = "gen_ai_invoke_agent_duration_seconds"
TOOL_DURATION: Final = "gen_ai_execute_tool_duration_seconds"
CHAT_DURATION: Final = "gen_ai_client_inference_duration_seconds"
FIRST_CHUNK: Final = "gen_ai_client_inference_time_to_first_chunk_seconds"
USED_INPUT: Final = "gen_ai_client_inference_usage_input_tokens"
USED_OUTPUT: Final = "gen_ai_client_inference_usage_output_tokens"
