"""What prompts promise of agents: sub-agents, plugins, agencies, runs by themselves."""

from __future__ import annotations

AGENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "`prompt.agent(name, description, input, fn)` offers an agent as a tool.",
        (
            "agents/prompts/test_sub_agents.py::test_the_model_sees_its_input_as_parameters_and_one_that_is_told_nothing_is_told_its_input",
            "agents/prompts/test_definitions.py::test_a_sub_agents_input_is_the_tools_parameters",
        ),
    ),
    (
        "`input` is its type: a pydantic model, a dataclass, a TypedDict or a mapping of names to",
        (
            "agents/prompts/test_sub_agents.py::test_the_model_sees_its_input_as_parameters_and_one_that_is_told_nothing_is_told_its_input",
            "agents/prompts/test_sub_agents.py::test_an_input_may_be_a_typed_dict_or_a_mapping",
            "agents/prompts/test_definitions.py::test_a_sub_agents_input_is_the_tools_parameters",
        ),
    ),
    (
        "Arguments that do not fit go back to the model, and nobody is asked.",
        ("agents/prompts/test_sub_agents.py::test_arguments_that_do_not_fit_go_back_to_the_model_and_nobody_is_asked",),
    ),
    (
        "A call is a handoff: a run of its own, in a conversation of its own that ends with it,",
        (
            "agents/prompts/test_sub_agents.py::test_a_call_is_a_run_of_its_own_that_is_told_what_its_function_defines",
            "agents/prompts/test_sub_agents.py::test_nothing_of_their_conversations_is_left_in_the_journal",
            "agents/prompts/test_sub_agents.py::test_events_and_diagrams_show_it_by_its_name",
        ),
    ),
    (
        "That name has at most 48 characters, and is no other agent's: else a `PromptError`.",
        ("agents/prompts/test_sub_agents.py::test_a_name_that_is_too_long_or_taken_ends_the_run_by_name",),
    ),
    (
        "It is no member of the agency, and cannot be asked from outside.",
        ("agents/prompts/test_sub_agents.py::test_it_is_no_member_of_the_agency",),
    ),
    (
        "Chains, limits, budgets, cancelling and handoff policies are as for any handoff; the time",
        (
            "agents/prompts/test_sub_agents.py::test_one_that_calls_itself_comes_to_an_end_by_name",
            "agents/prompts/test_sub_agents.py::test_what_it_uses_counts_for_its_caller_and_its_own_limits_hold",
            "agents/prompts/test_sub_agents.py::test_cancelling_at_any_event_stops_all_that_work_and_leaves_nothing_behind",
            "agents/prompts/test_sub_agents.py::test_a_handoff_policy_holds_for_it",
            "agents/prompts/test_sub_agents.py::test_the_time_of_a_person_counts_for_nobody",
        ),
    ),
    (
        "`fn(prompt, input)` is a prompt function like any other, with state, effects, tools and",
        (
            "agents/prompts/test_sub_agents.py::test_sub_agents_have_sub_agents_each_with_a_state_of_its_own",
            "agents/prompts/test_sub_agents.py::test_a_call_is_a_run_of_its_own_that_is_told_what_its_function_defines",
            "agents/prompts/test_sub_agents.py::test_its_tools_wait_for_a_person_where_those_of_its_caller_do",
        ),
    ),
    (
        "What it says by `prompt.user` and `prompt.message` begins its conversation; where it says",
        (
            "agents/prompts/test_sub_agents.py::test_a_call_is_a_run_of_its_own_that_is_told_what_its_function_defines",
            "agents/prompts/test_sub_agents.py::test_the_model_sees_its_input_as_parameters_and_one_that_is_told_nothing_is_told_its_input",
        ),
    ),
    (
        "It has the caller's model, settings, autonomy and owner, and the hooks around the",
        (
            "agents/prompts/test_sub_agents.py::test_it_has_the_model_and_the_settings_of_its_caller_or_a_model_of_its_own",
            "agents/prompts/test_sub_agents.py::test_its_tools_wait_for_a_person_where_those_of_its_caller_do",
            "agents/prompts/test_sub_agents.py::test_it_knows_for_whom_it_works",
            "agents/prompts/test_sub_agents.py::test_what_stands_around_requests_and_calls_of_its_caller_stands_around_its_own",
            "agents/prompts/test_sub_agents.py::test_a_guardrail_on_handoffs_looks_at_what_it_is_given",
            "agents/prompts/test_sub_agents.py::test_instructions_tools_skills_and_hooks_around_runs_are_not_handed_down",
        ),
    ),
    (
        "`model` is another one's name, `system` what it is told first, `plugins` are those of its",
        (
            "agents/prompts/test_sub_agents.py::test_it_has_the_model_and_the_settings_of_its_caller_or_a_model_of_its_own",
            "agents/prompts/test_sub_agents.py::test_the_model_sees_its_input_as_parameters_and_one_that_is_told_nothing_is_told_its_input",
            "agents/prompts/test_sub_agents.py::test_it_has_plugins_of_its_own",
            "agents/prompts/test_sub_agents.py::test_what_it_uses_counts_for_its_caller_and_its_own_limits_hold",
        ),
    ),
    (
        "Two conversations may offer different functions under one name: each call is made by the",
        (
            "agents/prompts/test_sub_agents.py::test_two_conversations_at_once_have_each_their_own_function_under_one_name",
            "agents/prompts/test_sub_agents_crashes.py::test_sub_agents_of_sub_agents_of_two_conversations_go_on_each_with_its_own_function",
        ),
    ),
    (
        "Names are few: for each there is an actor, as long as the agency runs.",
        ("agents/prompts/test_sub_agents.py::test_there_is_one_actor_for_each_name_as_long_as_the_agency_runs",),
    ),
    (
        '**Its answer.** The model that called is told `{"response": …}`: the text, or with',
        (
            "agents/prompts/test_sub_agents.py::test_a_call_is_a_run_of_its_own_that_is_told_what_its_function_defines",
            "agents/prompts/test_sub_agents.py::test_its_schema_stands_in_its_system_prompt",
        ),
    ),
    (
        "The schema stands in the system prompt; JSON is also found in a Markdown fence.",
        (
            "agents/prompts/test_sub_agents.py::test_its_schema_stands_in_its_system_prompt",
            "agents/prompts/test_sub_agents.py::test_an_answer_may_stand_in_a_fence",
        ),
    ),
    (
        'What does not fit comes back as `{"response": text, "validation_error": …}`, and is not',
        ("agents/prompts/test_sub_agents.py::test_an_answer_that_does_not_fit_comes_back_with_what_is_wrong",),
    ),
    (
        "A run that fails is an error that names why.",
        ("agents/prompts/test_sub_agents.py::test_an_error_in_it_is_told_to_the_model",),
    ),
    (
        "**Several at once.** `prompt.agents(name, description, [SubAgent(…), …])` takes",
        (
            "agents/prompts/test_sub_agents.py::test_several_are_asked_by_one_call_and_answer_in_order",
            "agents/prompts/test_sub_agents.py::test_they_work_side_by_side",
        ),
    ),
    (
        'It answers `{"results": [{"name", "response", "steps"}]}` in the order of the calls, with',
        (
            "agents/prompts/test_sub_agents.py::test_several_are_asked_by_one_call_and_answer_in_order",
            "agents/prompts/test_sub_agents.py::test_one_that_fails_does_not_touch_the_others",
        ),
    ),
    (
        'One that fails, is not there or is called wrongly has `{"name", "error"}`, and does not',
        ("agents/prompts/test_sub_agents.py::test_one_that_fails_does_not_touch_the_others",),
    ),
    (
        "**Functions around a call** run in the caller, may be `async`, take the arguments in the",
        (
            "agents/prompts/test_sub_agents.py::test_functions_may_be_async_and_take_less",
            "agents/prompts/test_sub_agents.py::test_callbacks_know_the_request_that_they_work_for",
            "agents/prompts/test_sub_agents.py::test_a_function_that_takes_more_than_there_is_is_refused",
            "agents/prompts/test_sub_agents.py::test_on_success_sees_the_input_and_the_answer_and_may_set_the_callers_state",
            "agents/prompts/test_sub_agents.py::test_two_calls_at_once_set_state_on_top_of_each_other",
        ),
    ),
    (
        "`before_call(input)` may return another input, which is looked at again (what does not fit",
        (
            "agents/prompts/test_sub_agents.py::test_before_call_may_change_the_input_which_is_looked_at_again",
            "agents/prompts/test_sub_agents.py::test_before_call_may_answer_in_its_place_or_refuse_and_nobody_is_asked",
        ),
    ),
    (
        "`on_success(input, answer)`: what it raises is the call's error, and nothing is set.",
        ("agents/prompts/test_sub_agents.py::test_what_on_success_raises_is_the_calls_error_and_nothing_is_set",),
    ),
    (
        "What it returns is passed over.",
        ("agents/prompts/test_sub_agents.py::test_what_on_success_returns_is_passed_over",),
    ),
    (
        "`on_error(input, error)`: what the run ended in, or an `InvalidAnswer` where the answer",
        (
            "agents/prompts/test_sub_agents.py::test_on_error_is_told_of_an_answer_that_does_not_fit_and_may_set_state_too",
            "agents/prompts/test_sub_agents.py::test_on_error_is_told_of_what_a_run_ended_in_and_what_it_sets_counts_although_the_result_is_an_error",
            "agents/prompts/test_sub_agents.py::test_what_on_error_raises_is_logged_and_the_first_error_counts",
        ),
    ),
    (
        "What it sets counts although the result is an error; what `before_call` has set does not.",
        (
            "agents/prompts/test_sub_agents.py::test_on_error_is_told_of_what_a_run_ended_in_and_what_it_sets_counts_although_the_result_is_an_error",
            "agents/prompts/test_sub_agents.py::test_what_before_call_has_set_of_a_call_that_fails_is_gone",
            "agents/prompts/test_sub_agents.py::test_what_before_call_has_set_is_gone_where_it_puts_an_error_in_the_place_of_the_call",
        ),
    ),
    (
        "It may return a `ToolResult` that stands for the call.",
        ("agents/prompts/test_sub_agents.py::test_on_error_may_put_something_in_the_place_of_the_error",),
    ),
    (
        "It is not called where nobody was asked.",
        ("agents/prompts/test_sub_agents.py::test_on_error_is_not_called_where_nobody_was_asked",),
    ),
    (
        "Of several they are called once all have answered, in the order of the calls, each on top",
        (
            "agents/prompts/test_sub_agents.py::test_several_are_asked_by_one_call_and_answer_in_order",
            "agents/prompts/test_sub_agents.py::test_two_calls_at_once_set_state_on_top_of_each_other",
        ),
    ),
    (
        "What they raise that is no `Exception` (`SystemExit`, a cancellation of their own) ends the",
        ("agents/prompts/test_what_sub_agents_functions_raise.py::test_what_is_no_exception_ends_the_run_by_name",),
    ),
    (
        "**Crashes and restarts.** After a restart the caller's function defines the step again,",
        (
            "agents/prompts/test_sub_agents_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found",
            "agents/prompts/test_sub_agents_crashes.py::test_what_waits_for_a_person_in_a_sub_agent_is_as_it_was_whenever_the_process_is_killed",
            "agents/prompts/test_sub_agents.py::test_a_person_may_decide_about_its_calls_in_another_process",
        ),
    ),
    (
        "One that had answered is not asked again.",
        (
            "agents/prompts/test_sub_agents_crashes.py::test_a_process_that_is_killed_half_way_asks_nobody_again_who_has_answered",
            "agents/prompts/test_sub_agents_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found",
        ),
    ),
    (
        "The functions around a call may be called again; what they set counts once.",
        (
            "agents/prompts/test_sub_agents_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found",
            "agents/prompts/test_sub_agents_crashes.py::test_a_process_that_is_killed_several_times_has_found_what_it_would_have_found",
        ),
    ),
    (
        "`tests/examples/research_team.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "A plugin is a subclass of `Prompt` with methods, and no `__init__`; what it must keep is",
        (
            "agents/prompts/test_plugins.py::test_a_plugins_methods_define_as_the_function_itself_does",
            "agents/prompts/test_plugins.py::test_a_function_that_does_not_fit_is_refused_as_the_agent_is_made",
        ),
    ),
    (
        "It is given per agent, run or sub-agent: `plugins=Notes`, or several, in the order in",
        (
            "agents/prompts/test_plugins.py::test_several_plugins_are_one_class_in_the_order_given",
            "agents/prompts/test_plugins.py::test_two_plugins_override_each_other_in_the_order_given",
            "agents/prompts/test_sub_agents.py::test_it_has_plugins_of_its_own",
        ),
    ),
    (
        "Type checkers know a plugin's methods on the prompt: the function's parameter is",
        (
            "typing/test_types.py::test_both_checkers_see_the_types_that_are_asserted",
            "typing/test_types.py::test_mypy_refuses_exactly_the_marked_lines",
        ),
    ),
    (
        "It is given itself, or all that it is made of; either way it is what the prompt is.",
        ("agents/prompts/test_plugins.py::test_a_function_may_take_a_class_that_is_made_of_the_plugins",),
    ),
    (
        "An annotation that the plugins do not give is a `PromptError` as the agent is made.",
        ("agents/prompts/test_plugins.py::test_a_function_that_does_not_fit_is_refused_as_the_agent_is_made",),
    ),
    (
        "Type checkers see that in `run_prompt(fn, plugins=Reading)` and in `prompt.agent`, not in",
        (
            "typing/test_types.py::test_mypy_refuses_exactly_the_marked_lines",
            "typing/test_types.py::test_pyright_refuses_exactly_the_marked_lines",
        ),
    ),
    (
        "A method that returns a setter says so by `StateSetter`: `-> tuple[int,",
        ("typing/test_types.py::test_both_checkers_see_the_types_that_are_asserted",),
    ),
    (
        "`tests/examples/custom_plugin.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "`Agent(prompt=fn)`: its instructions, skills, tools, handoffs, hooks and settings are",
        (
            "agents/prompts/test_in_runs.py::test_what_it_defines_stands_behind_the_instructions_and_around_the_conversation",
            "agents/prompts/test_with_other_features.py::test_tools_of_a_step_stand_behind_the_agents_own",
            "agents/prompts/test_with_other_features.py::test_hooks_see_and_change_what_a_prompt_function_has_made",
        ),
    ),
    (
        "A tool that is called like one of them is a `PromptError`.",
        (
            "agents/prompts/test_with_other_features.py::test_a_tool_that_is_called_like_one_of_the_agents_own_ends_the_run_by_name",
            "agents/prompts/test_sub_agents.py::test_a_tool_of_the_agent_of_that_name_is_a_named_error",
        ),
    ),
    (
        "`Agent.from_config` and team files name it as `module:name`, and `plugins` as a list of",
        (
            "agents/prompts/test_with_other_features.py::test_an_agent_of_plain_data_names_its_prompt_function_and_plugins",
            "agents/prompts/test_with_other_features.py::test_a_team_file_names_prompt_functions",
            "agents/prompts/test_with_other_features.py::test_the_description_of_an_agent_names_its_prompt_function",
        ),
    ),
    (
        "A tool of a step is like any other: it waits for a person where its risk or `approval`",
        (
            "agents/prompts/test_with_other_features.py::test_a_risky_tool_of_a_step_waits_for_a_person_and_sets_state_once_approved",
            "agents/prompts/test_with_other_features.py::test_a_tool_with_a_scope_is_there_for_those_who_hold_it",
            "agents/prompts/test_with_other_features.py::test_tools_that_are_deferred_are_found_and_called",
            "agents/prompts/test_with_other_features.py::test_hooks_see_and_change_what_a_prompt_function_has_made",
            "agents/prompts/test_with_other_features.py::test_a_call_that_a_guardrail_refuses_has_set_nothing",
        ),
    ),
    (
        "`stop_when` is looked at before the function is called; `prepare_step` after it, and what",
        (
            "agents/prompts/test_in_conversations.py::test_a_condition_is_looked_at_before_the_function_is_called_and_the_plan_is_made_after_it",
            "agents/prompts/test_with_other_features.py::test_prepare_step_chooses_among_what_the_step_has",
        ),
    ),
    (
        "A run may be asked nothing (`agency.run(())`) where the function says it all; where",
        (
            "agents/prompts/test_in_runs.py::test_a_run_may_be_asked_nothing_where_the_function_says_it_all",
            "agents/prompts/test_in_runs.py::test_where_nobody_says_anything_the_run_ends_by_name",
        ),
    ),
    (
        "What an interrupted run has set stays; what is rolled back, rewound or not in a fork is",
        (
            "agents/prompts/test_in_runs.py::test_what_a_run_has_set_that_is_interrupted_stays",
            "agents/prompts/test_in_runs.py::test_what_a_run_has_set_that_is_taken_back_is_not_remembered",
            "agents/prompts/test_in_runs.py::test_a_fork_and_a_rewound_conversation_remember_what_was_true_at_that_step",
        ),
    ),
    (
        "It goes with the history: what a step has set that leaves no message, because its answer was",
        (
            "agents/prompts/test_in_conversations.py::test_what_the_step_of_an_empty_answer_has_set_goes_with_the_message_before_it",
            "agents/prompts/test_steps_without_a_message.py::test_it_stays_where_the_next_run_is_rolled_back",
        ),
    ),
    (
        "A restart in the middle of a step calls the function once more for the calls that are",
        (
            "agents/prompts/test_in_conversations.py::test_a_restart_in_the_middle_of_a_step_calls_the_function_once_more_and_no_effect",
        ),
    ),
    (
        "Calls that had their result keep it, those that wait for a person wait on, under the same",
        (
            "agents/prompts/test_in_conversations.py::test_a_restart_in_the_middle_of_a_step_calls_the_function_once_more_and_no_effect",
            "agents/prompts/test_in_conversations.py::test_a_call_of_a_tool_that_the_function_does_not_define_any_more_is_told_so",
            "agents/prompts/test_crashes.py::test_what_waits_for_a_person_is_as_it_was_whenever_the_process_is_killed",
        ),
    ),
    (
        "`agency.replay(id)` calls the function for each recorded step as it is today, from the",
        (
            "agents/prompts/test_in_conversations.py::test_a_replay_calls_the_function_of_today_with_the_state_of_each_recorded_step",
        ),
    ),
    (
        "An agent without a prompt function pays nothing for them.",
        (
            "benchmarks/test_prompts_scenarios.py::test_the_plain_agent_is_told_and_offered_what_the_prompt_defines",
            "benchmarks/test_prompts_scenarios.py::test_a_step_of_each_is_measured",
        ),
    ),
    (
        "`python -m benchmarks prompts` measures both.",
        ("benchmarks/test_prompts_scenarios.py::test_a_step_of_each_is_measured",),
    ),
    (
        "`run_prompt(fn, …)` makes an agency of its own with one agent, and is under way when it",
        (
            "agents/prompts/test_prompt_run.py::test_awaiting_it_gives_the_answer_any_number_of_times",
            "agents/prompts/test_prompt_run.py::test_what_is_done_can_be_read_while_it_goes_on",
        ),
    ),
    (
        "State lasts as long as the run.",
        ("agents/prompts/test_in_conversations.py::test_state_lasts_as_long_as_a_run_by_itself",),
    ),
    (
        "`tests/examples/prompt_run.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "`model` is a model's name, an actor that answers `Request`, or a `ChildSpec` to start one",
        (
            "agents/prompts/test_prompt_run.py::test_a_model_is_an_actor_a_spec_or_a_name_and_otherwise_what_the_environment_has",
        ),
    ),
    (
        "Offline, `ChildSpec(FunctionModel, (function,))` calls a function with each `Request`,",
        (
            "agents/prompts/test_page.py::test_what_is_run_by_itself_runs_offline",
            "agents/prompts/test_prompt_run.py::test_a_model_is_an_actor_a_spec_or_a_name_and_otherwise_what_the_environment_has",
            "agents/prompts/test_in_runs.py::test_calls_of_one_step_do_not_see_what_the_others_set_but_the_next_step_sees_all",
        ),
    ),
    ("Both are in `callboard.testing`.", ("agents/prompts/test_page.py::test_what_is_run_by_itself_runs_offline",)),
    (
        "Options: `model`, `messages` (what is said to begin with), `plugins`, `instructions`,",
        (
            "agents/prompts/test_prompt_run.py::test_instructions_tools_and_settings_are_the_agents",
            "agents/prompts/test_prompt_run.py::test_active_tools_are_offered_alone_and_a_call_of_another_is_refused",
            "agents/prompts/test_prompt_run.py::test_prepare_step_and_active_tools_choose_together",
            "agents/prompts/test_prompt_run.py::test_it_stops_where_a_condition_or_a_limit_says_so",
            "agents/prompts/test_prompt_run.py::test_the_answer_is_of_the_type_that_was_asked_for",
            "agents/prompts/test_prompt_run.py::test_what_is_said_to_begin_with_is_a_question_like_any_other",
            "agents/prompts/test_prompt_run.py::test_a_completion_is_asked_for_again_as_often_as_was_said",
        ),
    ),
    (
        "What is wrong is refused before anything runs.",
        ("agents/prompts/test_prompt_run.py::test_wrong_arguments_are_refused_before_anything_runs",),
    ),
    (
        "Awaiting the `PromptRun` gives the `Answer`, any number of times, or raises what the run ended in.",
        (
            "agents/prompts/test_prompt_run.py::test_awaiting_it_gives_the_answer_any_number_of_times",
            "agents/prompts/test_prompt_run.py::test_an_error_of_a_provider_is_what_the_run_ends_in",
        ),
    ),
    (
        "`text_stream` and `events` are async iterators from the beginning, a new one each time;",
        (
            "agents/prompts/test_prompt_run.py::test_text_and_events_are_streamed_from_the_beginning_to_each_who_asks",
            "agents/prompts/test_prompt_run.py::test_streams_of_a_run_that_failed_end_in_its_error",
        ),
    ),
    (
        "`steps`, `tool_calls` and `tool_results` are those of the steps that are over, whose",
        (
            "agents/prompts/test_prompt_run.py::test_it_tells_of_text_usage_calls_results_and_steps",
            "agents/prompts/test_prompt_run.py::test_what_is_done_can_be_read_while_it_goes_on",
            "agents/prompts/test_prompt_run.py::test_a_step_whose_calls_have_no_results_is_not_over_where_it_is_aborted",
        ),
    ),
    (
        "`run.abort()` ends it in `RunCancelled`, at any moment before it has its answer, and from any",
        (
            "agents/prompts/test_prompt_run.py::test_aborted_at_any_event_it_ends_by_name_and_keeps_what_was_done",
            "agents/prompts/test_prompt_run.py::test_aborting_ends_a_call_under_way",
            "agents/prompts/test_prompt_run.py::test_cancelling_whoever_awaits_it_aborts_it",
        ),
    ),
    (
        "A callback that is still at work 5 seconds later is cancelled.",
        ("agents/prompts/test_callbacks.py::test_a_callback_that_never_returns_holds_nobody_who_aborts",),
    ),
    (
        "Callbacks, plain or `async`: `on_chunk` (a piece of text or reasoning), `on_step_finish`",
        (
            "agents/prompts/test_prompt_run.py::test_callbacks_are_told_in_order_and_each_step_once",
            "agents/prompts/test_prompt_run.py::test_aborted_at_any_event_it_ends_by_name_and_keeps_what_was_done",
            "agents/prompts/test_prompt_run.py::test_callbacks_have_been_told_all_once_it_is_awaited",
        ),
    ),
    (
        "They are called one at a time, in order, before whoever awaits the run goes on: one that",
        (
            "agents/prompts/test_prompt_run.py::test_callbacks_are_told_in_order_and_each_step_once",
            "agents/prompts/test_prompt_run.py::test_callbacks_have_been_told_all_once_it_is_awaited",
        ),
    ),
    (
        "What one raises is logged, whatever it is.",
        ("agents/prompts/test_prompt_run.py::test_a_callback_that_raises_is_logged_and_disturbs_nothing",),
    ),
)
