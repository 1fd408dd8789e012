"""What prompts promise of steps: rendering, state, effects, definitions, tools."""

from __future__ import annotations

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "A prompt function defines, before each completion of a run, what the model sees and may",
        (
            "agents/prompts/test_in_runs.py::test_it_is_called_once_before_each_completion",
            "agents/prompts/test_in_runs.py::test_what_it_defines_stands_behind_the_instructions_and_around_the_conversation",
        ),
    ),
    (
        "What it must remember is state, which the conversation keeps.",
        ("agents/prompts/test_in_runs.py::test_state_lasts_over_steps_and_turns_and_belongs_to_one_conversation",),
    ),
    (
        "This page is its contract: each sentence is tested.",
        ("agents/prompts/test_page.py::test_every_sentence_of_the_page_is_in_the_table_of_what_is_promised",),
    ),
    (
        "`tests/examples/counter.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "The function is called once before each completion, the first included; a second time",
        (
            "agents/prompts/test_in_runs.py::test_it_is_called_once_before_each_completion",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had",
            "agents/prompts/test_in_conversations.py::test_a_restart_in_the_middle_of_a_step_calls_the_function_once_more_and_no_effect",
        ),
    ),
    (
        "It may be a `def` or an `async def`.",
        ("agents/prompts/test_in_runs.py::test_it_is_called_once_before_each_completion",),
    ),
    (
        "It acts on nothing: it may run again.",
        (
            "agents/prompts/test_in_runs.py::test_it_is_called_once_before_each_completion",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had",
        ),
    ),
    (
        "Tools and effects act.",
        (
            "agents/prompts/test_state.py::test_nothing_is_set_while_the_function_runs",
            "agents/prompts/test_in_runs.py::test_a_tool_sets_state_from_a_thread_and_from_the_loop",
            "agents/prompts/test_effects.py::test_what_an_effect_sets_is_seen_in_the_next_step",
        ),
    ),
    (
        "What it defines counts for this step.",
        (
            "agents/prompts/test_in_runs.py::test_what_it_defines_stands_behind_the_instructions_and_around_the_conversation",
            "agents/prompts/test_definitions.py::test_each_step_has_what_it_defines_and_what_is_made_twice_is_named",
        ),
    ),
    (
        "What the next step does not define again is gone.",
        (
            "agents/prompts/test_in_runs.py::test_what_a_later_step_does_not_define_is_gone",
            "agents/prompts/test_definitions.py::test_each_step_has_what_it_defines_and_what_is_made_twice_is_named",
        ),
    ),
    (
        "The prompt is of no use once the function has returned; setters and references are.",
        (
            "agents/prompts/test_definitions.py::test_a_prompt_is_of_no_use_after_its_function_has_returned",
            "agents/prompts/test_functions.py::test_what_is_called_too_late_is_named",
        ),
    ),
    (
        "The function returns nothing, or a reference; anything else is a `PromptError`.",
        (
            "agents/prompts/test_definitions.py::test_a_function_that_returns_something_is_told_how_to_say_it",
            "agents/prompts/test_definitions.py::test_a_function_may_return_a_reference",
        ),
    ),
    (
        "`prompt.context` is the request context of the run: who asks, in which conversation.",
        ("agents/prompts/test_in_conversations.py::test_the_function_is_told_who_asks_and_in_which_conversation",),
    ),
    (
        "What is used wrongly is a `PromptError` that says where, and what to write instead.",
        (
            "agents/prompts/test_definitions.py::test_a_wrong_use_says_what_to_write_instead",
            "agents/prompts/test_plugins.py::test_a_method_that_a_prompt_does_not_have_is_named_with_the_plugin_that_has_it",
            "agents/prompts/test_effects.py::test_what_an_effect_misspells_is_named",
        ),
    ),
    (
        "In the function and in an effect it ends the run, as anything does that these raise; in a",
        (
            "agents/prompts/test_in_runs.py::test_an_error_in_it_ends_the_run_by_name_with_its_cause",
            "agents/prompts/test_in_runs.py::test_wrong_use_ends_the_run_by_name",
            "agents/prompts/test_in_runs.py::test_what_is_used_wrongly_in_a_tool_is_the_calls_error_and_is_logged",
        ),
    ),
    (
        "`value, set_value = prompt.state(key, initial)`.",
        (
            "agents/prompts/test_in_runs.py::test_state_lasts_over_steps_and_turns_and_belongs_to_one_conversation",
            "agents/prompts/test_state.py::test_a_key_is_a_text",
        ),
    ),
    (
        "State belongs to the conversation, over steps, runs, crashes and restarts; `initial`",
        (
            "agents/prompts/test_in_runs.py::test_state_lasts_over_steps_and_turns_and_belongs_to_one_conversation",
            "agents/prompts/test_in_runs.py::test_state_outlives_the_process",
            "agents/prompts/test_state.py::test_the_initial_value_counts_only_the_first_time",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had",
        ),
    ),
    (
        "It is kept while a step does not ask for it.",
        ("agents/prompts/test_state.py::test_what_a_step_does_not_ask_for_is_kept",),
    ),
    ("A key is used once in a step.", ("agents/prompts/test_state.py::test_a_key_is_used_once_in_a_step",)),
    (
        "A value is plain data (texts, numbers, lists, mappings by text), or of a type that",
        (
            "agents/prompts/test_state.py::test_a_value_comes_back_as_what_it_was",
            "agents/prompts/test_state.py::test_a_value_of_a_subclass_is_kept_where_its_type_is_named",
            "agents/prompts/test_state_properties.py::test_any_plain_value_comes_back_as_it_was_and_every_change_is_recorded",
        ),
    ),
    (
        "It comes back as what it was.",
        (
            "agents/prompts/test_state.py::test_a_value_comes_back_as_what_it_was",
            "agents/prompts/test_state_properties.py::test_any_plain_value_comes_back_as_it_was_and_every_change_is_recorded",
        ),
    ),
    (
        "What cannot be kept (a whole number of more than 4,300 digits; half a character in a value of",
        (
            "agents/prompts/test_state.py::test_what_cannot_be_kept_is_refused_at_once",
            "agents/prompts/test_state.py::test_what_was_kept_and_does_not_fit_any_more_is_named",
            "agents/prompts/test_state.py::test_plain_data_that_is_nested_deeper_than_can_be_walked_is_named",
        ),
    ),
    (
        "Where a type grows, conversations that began before keep the older form.",
        ("agents/prompts/test_state.py::test_a_newer_type_takes_what_an_older_one_has_kept",),
    ),
    (
        "It fits if each new field has a default; or the type takes the older form itself, by a",
        (
            "agents/prompts/test_state.py::test_a_newer_type_takes_what_an_older_one_has_kept",
            "agents/prompts/test_state.py::test_what_was_kept_and_does_not_fit_any_more_is_named",
        ),
    ),
    (
        "Until it does, each of their steps is a `PromptError` that says so.",
        ("agents/prompts/test_state.py::test_what_was_kept_and_does_not_fit_any_more_is_named",),
    ),
    ("Each step is given a copy of its own.", ("agents/prompts/test_state.py::test_a_value_is_a_copy_of_ones_own",)),
    (
        "One that was changed in place is noticed: a `PromptError` when it is set, or in the next step.",
        ("agents/prompts/test_state.py::test_a_value_that_was_changed_in_place_is_noticed",),
    ),
    (
        "A setter is called in a tool or an effect of the same prompt, also in tasks and threads",
        (
            "agents/prompts/test_in_runs.py::test_a_tool_sets_state_from_a_thread_and_from_the_loop",
            "agents/prompts/test_state.py::test_what_is_set_in_a_thread_is_the_calls",
            "agents/prompts/test_state.py::test_threads_of_one_call_lose_no_update",
            "agents/prompts/test_state.py::test_what_sets_by_the_value_before_sets_nothing_else",
        ),
    ),
    (
        "Anywhere else it is a `PromptError`: while the function runs, after the call has ended,",
        (
            "agents/prompts/test_state.py::test_nothing_is_set_while_the_function_runs",
            "agents/prompts/test_state.py::test_an_async_function_sets_nothing_while_it_runs_either",
            "agents/prompts/test_state.py::test_nothing_is_set_after_a_call_has_ended",
            "agents/prompts/test_state.py::test_nothing_is_set_from_elsewhere",
            "agents/prompts/test_sub_agents.py::test_a_setter_of_the_caller_is_out_of_reach_in_the_sub_agent",
        ),
    ),
    (
        "What a call sets it sees itself at once, in functions of the value before.",
        (
            "agents/prompts/test_state.py::test_a_value_goes_from_step_to_step_and_over_a_restart",
            "agents/prompts/test_in_runs.py::test_calls_within_one_call_see_what_the_ones_before_have_set",
        ),
    ),
    (
        "It becomes the conversation's together with the call's result, in one write: a call that",
        (
            "agents/prompts/test_in_runs.py::test_a_call_that_fails_has_set_nothing",
            "agents/prompts/test_with_other_features.py::test_a_call_that_a_guardrail_refuses_has_set_nothing",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had",
            "agents/prompts/test_crashes.py::test_a_power_cut_in_the_middle_of_any_write_leaves_no_half_of_a_change",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_in_the_middle_of_a_call_has_set_nothing_and_the_next_one_sets_it_once",
        ),
    ),
    (
        "So a tool that only sets state may be `idempotent`.",
        (
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_in_the_middle_of_a_call_has_set_nothing_and_the_next_one_sets_it_once",
        ),
    ),
    (
        "So it is for a call within a call (`composite`, a program, `ToolContext.call`): one that",
        (
            "agents/prompts/test_in_runs.py::test_of_calls_within_a_call_those_that_fail_have_set_nothing",
            "agents/test_composites.py::test_a_call_that_fails_keeps_nothing_of_what_it_has_set",
            "agents/prompts/test_function_agents_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found",
        ),
    ),
    (
        "Of a call that fails and that `on_error` saves only what `on_error` has set counts.",
        (
            "agents/prompts/test_in_runs.py::test_of_a_call_that_on_error_saves_what_the_function_set_is_gone_and_what_on_error_sets_counts",
        ),
    ),
    (
        "What calls side by side set is applied in the order in which they end, each on top of",
        (
            "agents/prompts/test_in_runs.py::test_calls_of_one_step_that_add_to_a_state_all_count",
            "agents/prompts/test_state_properties.py::test_any_interleaving_of_calls_is_their_queues_in_the_order_of_commit",
        ),
    ),
    (
        "Where one raises then, that is the call's result, and it has set nothing.",
        (
            "agents/prompts/test_in_runs.py::test_a_function_that_fails_on_what_another_call_has_set_meanwhile_is_that_calls_error",
        ),
    ),
    (
        "The value that a function closes over stays that of its step.",
        ("agents/prompts/test_state.py::test_what_a_function_closes_over_is_the_value_of_its_step",),
    ),
    (
        "So a call does not see what another of its step sets: three that each add 1 may each be",
        (
            "agents/prompts/test_in_runs.py::test_calls_of_one_step_do_not_see_what_the_others_set_but_the_next_step_sees_all",
            "agents/prompts/test_in_runs.py::test_one_call_at_a_time_may_still_not_see_what_the_one_before_has_set",
        ),
    ),
    (
        "A call's result does not say such a number; the next step does, which has all that was set.",
        (
            "agents/prompts/test_in_runs.py::test_calls_of_one_step_do_not_see_what_the_others_set_but_the_next_step_sees_all",
        ),
    ),
    (
        "What must be unique is not made of it either, but of `context.idempotency_key`",
        ("agents/prompts/test_in_runs.py::test_what_is_made_of_a_calls_id_is_unique",),
    ),
    (
        "Where a number must be exact at once, one call does it all: the calls that one of a",
        ("agents/prompts/test_in_runs.py::test_calls_within_one_call_see_what_the_ones_before_have_set",),
    ),
    (
        "A credential (`context.credential`) that a call sets, within a text too, becomes",
        ("agents/prompts/test_credentials_in_state.py::test_a_credential_that_is_set_as_state_is_blotted_out",),
    ),
    (
        "A type that the value does not fit without it refuses it: nothing is set.",
        (
            "agents/prompts/test_credentials_in_state.py::test_a_state_that_fits_its_type_only_with_a_credential_is_not_set",
        ),
    ),
    (
        "What a step sets, initial values and what its effects set, becomes the conversation's",
        (
            "agents/prompts/test_state.py::test_a_step_that_no_completion_came_of_has_set_nothing",
            "agents/prompts/test_in_runs.py::test_nothing_of_a_step_that_could_not_be_made_is_kept",
            "agents/prompts/test_effects.py::test_what_an_effect_of_a_lost_step_has_set_counts_once",
        ),
    ),
    (
        "`prompt.effect(callback, dependencies)`: runs after the function and before the",
        (
            "agents/prompts/test_effects.py::test_async_effects_run_in_order_with_the_others",
            "agents/prompts/test_effects.py::test_a_callback_takes_what_it_requires",
        ),
    ),
    (
        "With dependencies it runs where they differ from those of its last run in the",
        (
            "agents/prompts/test_effects.py::test_an_effect_runs_exactly_when_a_dependency_has_changed",
            "agents/prompts/test_effects.py::test_under_any_changes_of_state_an_effect_runs_as_often_as_what_it_depends_on_changes",
        ),
    ),
    (
        "They are compared as plain data, also after a restart; a set, also one within something,",
        (
            "agents/prompts/test_effects.py::test_an_effect_runs_exactly_when_a_dependency_has_changed",
            "agents/prompts/test_in_runs.py::test_an_effect_with_dependencies_is_not_run_again_after_a_restart",
            "agents/prompts/test_effects.py::test_dependencies_are_plain_data_or_made_such",
            "agents/prompts/test_effects.py::test_dependencies_that_cannot_be_compared_are_named",
        ),
    ),
    (
        "An effect is known by its callback's name, its line relative to the function, and its",
        ("agents/prompts/test_effects.py::test_an_effect_runs_exactly_when_a_dependency_has_changed",),
    ),
    (
        "One that a step does not define is forgotten: defined again, it runs again.",
        ("agents/prompts/test_effects.py::test_an_effect_runs_exactly_when_a_dependency_has_changed",),
    ),
    (
        "The callback is called with as many of `(context, step)` as it requires; it may be `async`.",
        (
            "agents/prompts/test_effects.py::test_a_callback_takes_what_it_requires",
            "agents/prompts/test_effects.py::test_a_callback_that_cannot_be_called_is_refused",
            "agents/prompts/test_effects.py::test_async_effects_run_in_order_with_the_others",
        ),
    ),
    (
        "What it raises ends the run, and then nothing that the step has set counts.",
        (
            "agents/prompts/test_in_runs.py::test_an_error_in_it_ends_the_run_by_name_with_its_cause",
            "agents/prompts/test_effects.py::test_what_raises_sets_nothing_and_runs_again",
            "agents/prompts/test_effects.py::test_an_async_effect_that_raises_sets_nothing",
        ),
    ),
    (
        "`context` (`EffectContext`) has the step's `messages`, its number `step`, `last_tool`,",
        ("agents/prompts/test_effects.py::test_an_effect_sees_the_step",),
    ),
    (
        "`step` (`StepModifier`) changes this step alone: assign `messages`, `tools`, `systems` or",
        (
            "agents/prompts/test_effects.py::test_it_changes_this_step_alone",
            "agents/prompts/test_effects.py::test_a_step_is_changed_in_time",
        ),
    ),
    (
        "A name that is not there is a `PromptError` that lists them.",
        ("agents/prompts/test_effects.py::test_what_a_step_does_not_have_is_named",),
    ),
    (
        "A call of a tool that the step did not offer is refused.",
        (
            "agents/prompts/test_with_other_features.py::test_an_effect_chooses_what_one_step_offers_and_a_call_of_another_is_refused",
        ),
    ),
    (
        "State that an effect sets is seen from the next step on.",
        ("agents/prompts/test_effects.py::test_what_an_effect_sets_is_seen_in_the_next_step",),
    ),
    (
        "**Effects that act on the world** send a mail, write a file, move money.",
        (
            "agents/prompts/test_crashes.py::test_an_effect_sees_only_what_the_journal_has_whenever_the_process_is_killed",
            "agents/prompts/test_page.py::test_an_effect_on_the_world_gives_it_a_key",
        ),
    ),
    (
        "They see only what the journal has: a step is rendered once all that came before it is written down.",
        (
            "agents/prompts/test_crashes.py::test_an_effect_sees_only_what_the_journal_has_whenever_the_process_is_killed",
        ),
    ),
    (
        "So no crash takes back what they acted on.",
        (
            "agents/prompts/test_crashes.py::test_an_effect_sees_only_what_the_journal_has_whenever_the_process_is_killed",
        ),
    ),
    (
        "They run at least once.",
        ("agents/prompts/test_effects.py::test_what_an_effect_of_a_lost_step_has_set_counts_once",),
    ),
    (
        "That one has run is recorded with what comes of its step's completion; a crash before",
        (
            "agents/prompts/test_effects.py::test_what_an_effect_of_a_lost_step_has_set_counts_once",
            "agents/prompts/test_effects.py::test_an_effect_that_runs_again_can_give_the_world_the_same_key",
        ),
    ),
    (
        "What it sets counts once all the same.",
        (
            "agents/prompts/test_effects.py::test_what_an_effect_of_a_lost_step_has_set_counts_once",
            "agents/prompts/test_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_the_state_it_would_have_had",
        ),
    ),
    (
        "So the world should know what it has been told already: give it a key that is the same",
        (
            "agents/prompts/test_effects.py::test_an_effect_that_runs_again_can_give_the_world_the_same_key",
            "agents/prompts/test_page.py::test_an_effect_on_the_world_gives_it_a_key",
        ),
    ),
    (
        "What the model is to decide, or to be told the result of, is a tool.",
        ("agents/prompts/test_in_runs.py::test_a_tool_of_a_step_is_told_of_its_call",),
    ),
    (
        "One that is not `idempotent` is not called again after a crash; the model is told that it",
        ("agents/test_restarts.py::test_a_tool_that_was_running_is_not_run_again_unless_it_is_idempotent",),
    ),
    (
        "`prompt.system(name, text)`, `prompt.define(name, text)` and `prompt.define_data(name,",
        (
            "agents/prompts/test_definitions.py::test_parts_stand_in_tags_the_systems_first",
            "agents/prompts/test_in_runs.py::test_what_it_defines_stands_behind_the_instructions_and_around_the_conversation",
        ),
    ),
    (
        "Data is written as YAML, in its order, half a character as `�`; models and dataclasses are",
        (
            "agents/prompts/test_definitions.py::test_data_is_yaml_that_says_the_same",
            "agents/prompts/test_definitions.py::test_data_may_be_models_and_dataclasses",
            "agents/prompts/test_definitions.py::test_parts_stand_in_tags_the_systems_first",
            "agents/prompts/test_definitions.py::test_a_text_of_several_lines_in_data_is_written_as_such",
        ),
    ),
    (
        "No text can end its own part: its closing tag is written `&lt;/name`.",
        (
            "agents/prompts/test_definitions.py::test_no_text_ends_its_part_early",
            "agents/prompts/test_definitions.py::test_a_part_is_what_the_step_says_whatever_the_step_before_said",
        ),
    ),
    (
        "A name has up to 64 letters, digits, `_`, `.` and `-`, and begins with a letter or `_`.",
        ("agents/prompts/test_definitions.py::test_a_wrong_use_says_what_to_write_instead",),
    ),
    (
        "One that is used twice in a step, among parts or among tools and sub-agents, is a `PromptError`.",
        ("agents/prompts/test_definitions.py::test_each_step_has_what_it_defines_and_what_is_made_twice_is_named",),
    ),
    (
        "They return a reference: in a text it is its tag, and it has `name` and `value`.",
        ("agents/prompts/test_definitions.py::test_a_reference_is_its_tag_in_other_texts",),
    ),
    (
        "`remind()` has the model reminded of the part after all else, in this step; `disable()`",
        (
            "agents/prompts/test_definitions.py::test_what_is_disabled_is_left_out_and_what_is_reminded_comes_last",
            "agents/prompts/test_definitions.py::test_an_effect_may_remind_and_later_it_is_too_late",
        ),
    ),
    (
        "`prompt.reminded_items()` are those reminded so far.",
        ("agents/prompts/test_definitions.py::test_what_is_disabled_is_left_out_and_what_is_reminded_comes_last",),
    ),
    (
        "`prompt.user(text)` and `prompt.message(role, content)` stand before the conversation in",
        (
            "agents/prompts/test_definitions.py::test_messages_stand_before_the_conversation",
            "agents/prompts/test_in_runs.py::test_what_stands_around_the_conversation_is_no_part_of_it",
        ),
    ),
    (
        '`@prompt.tool`, `@prompt.tool(risk="safe", …)` or `prompt.tool(…)` offers a function, a',
        ("agents/prompts/test_definitions.py::test_tools_are_functions_tools_and_classes_with_the_options_of_a_tool",),
    ),
    (
        "It returns a reference, as a text the tool's name.",
        ("agents/prompts/test_definitions.py::test_tools_are_functions_tools_and_classes_with_the_options_of_a_tool",),
    ),
    (
        "A first parameter annotated with `ToolContext` is handed the call's context.",
        (
            "agents/prompts/test_in_runs.py::test_a_tool_of_a_step_is_told_of_its_call",
            "agents/prompts/test_definitions.py::test_tools_are_functions_tools_and_classes_with_the_options_of_a_tool",
        ),
    ),
    (
        "What functions made anew in each step have in common is worked out once: signature,",
        (
            "tools/test_closures.py::test_tools_of_one_code_share_what_the_model_is_told_and_call_their_own_function",
            "tools/test_closures.py::test_nothing_of_a_closure_is_kept",
        ),
    ),
    (
        "Annotations, defaults and docstring of each count.",
        (
            "tools/test_closures.py::test_an_annotation_that_names_something_local_means_what_it_means_there",
            "tools/test_closures.py::test_a_default_is_that_of_the_function_that_is_called",
            "tools/test_closures.py::test_a_docstring_that_is_assigned_counts",
        ),
    ),
    (
        "In each step but the first, rendering 30 parts and 20 tools takes 50 µs, and a tool is made",
        ("benchmarks/test_prompts_scenarios.py::test_a_step_of_each_is_measured",),
    ),
)
