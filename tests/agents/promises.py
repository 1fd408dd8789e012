"""What agents promise, sentence by sentence, each with the tests that show it (see `test_promises.py`)."""

from __future__ import annotations

PROMISES: tuple[tuple[str, tuple[str, ...]], ...] = (
    # -- checked at the door --
    (
        "Everything that reaches a run is checked first, and what is wrong is told with what was expected.",
        (
            "agents/test_arguments.py::test_what_is_of_the_wrong_kind_is_refused_by_its_name",
            "agents/test_wrong_arguments.py::test_an_argument_of_the_wrong_type_is_refused_by_name",
            "agents/test_wrong_fields.py::test_a_question_with_a_wrong_field_is_refused_at_the_door",
            "agents/turns/test_questions.py::test_a_wrong_shape_is_refused_by_name",
            "agents/turns/test_questions.py::test_what_is_no_tool_is_refused_by_name",
        ),
    ),
    (
        "OpenAI's dictionaries for messages and tools are taken.",
        (
            "agents/turns/test_questions.py::test_openais_dictionaries_are_messages",
            "agents/turns/test_questions.py::test_openais_dictionaries_are_tools",
            "agents/turns/test_questions.py::test_whatever_stands_in_a_dictionary_it_is_read_or_refused_by_name",
        ),
    ),
    (
        "A message of a role that there is not is refused.",
        ("agents/turns/test_questions.py::test_a_message_of_no_role_is_not_made",),
    ),
    (
        "A tool with a scope is offered to and run for those who have it, and nobody else.",
        (
            "agents/test_scopes.py::test_a_tool_is_offered_to_and_run_for_those_who_have_one_of_its_scopes_only",
            "agents/test_scopes.py::test_a_call_of_a_tool_that_a_caller_may_not_use_is_answered_as_one_of_a_tool_that_is_not_there",
        ),
    ),
    (
        "Who asks can be said, and is known.",
        (
            "agents/test_scopes.py::test_the_owner_is_one_user_of_one_tenant",
            "agents/test_caller.py::test_nobody_may_do_anything",
            "agents/test_tool_context.py::test_a_tool_is_told_of_its_call_and_its_run",
        ),
    ),
    (
        "A manual agent has a person asked before each handoff.",
        (
            "agents/test_autonomy.py::test_manual_waits_for_a_person_before_each_handoff_and_no_other_level_does",
            "agents/test_autonomy.py::test_whoever_is_killed_at_whichever_event_an_approved_handoff_is_made_once",
        ),
    ),
    (
        "The model is told its autonomy.",
        ("agents/test_autonomy.py::test_the_model_is_told_its_autonomy_in_one_sentence_unless_nobody_is_asked",),
    ),
    (
        "A tool can say at which levels of autonomy it needs approval.",
        ("agents/test_autonomy.py::test_a_call_waits_at_the_levels_that_its_tool_names_or_those_of_its_risk",),
    ),
    (
        "A hook on a handoff sees the messages and filters them, also those of a transfer.",
        (
            "agents/test_hooks_on_handoffs.py::test_a_hook_sees_what_the_target_would_see_and_takes_a_password_out_of_it",
        ),
    ),
    (
        "A hook changes no target past flows and the look for cycles.",
        (
            "agents/test_hooks_on_handoffs.py::test_a_hook_cannot_send_a_handoff_past_the_flows",
            "agents/test_hooks_on_handoffs.py::test_a_hook_that_sends_handoffs_in_a_circle_ends_in_a_named_error",
        ),
    ),
    (
        "What a guardrail on the response refuses is not shown by a stream.",
        ("agents/test_judged_streams.py::test_a_streamed_answer_that_a_guardrail_refuses_is_never_shown",),
    ),
    (
        "An actor of one's own asks an agent with a Handoff.",
        ("agents/test_handoffs_of_actors.py::test_an_actor_of_ones_own_hands_a_task_to_an_agent_and_gets_its_answer",),
    ),
    (
        "Classes given as tools keep their risk and are made.",
        ("agents/test_tool_context.py::test_agents_take_classes_as_tools_with_their_options",),
    ),
    (
        "A subclass of Agent is used as it says, or refused.",
        (
            "agents/test_agent_classes.py::test_a_class_says_the_fields_of_its_agents_and_its_methods_are_called",
            "agents/test_agent_classes.py::test_a_method_that_nobody_would_call_is_refused_as_the_class_is_made",
        ),
    ),
    (
        "An error in the user's instructions, history filter or hook is told with its cause.",
        (
            "agents/test_the_users_own_code.py::test_instructions_that_raise_end_the_run_at_once_with_their_cause",
            "agents/test_the_users_own_code.py::test_a_history_filter_that_is_wrong_ends_the_run_at_once_by_name",
            "agents/test_the_users_own_code.py::test_a_hook_that_is_wrong_is_passed_over_and_told_by_name",
            "agents/test_the_users_own_code.py::test_a_conversation_that_is_given_up_says_on_what_it_crashed",
        ),
    ),
    (
        "Chunks have the answer after a transfer with text.",
        ("agents/test_chunks.py::test_after_a_transfer_with_text_the_chunks_are_the_new_agents_answer",),
    ),
    (
        "Chunks of a stream that was tried again have the answer once.",
        ("agents/test_chunks.py::test_a_stream_that_was_cut_and_asked_for_again_is_in_the_chunks_once",),
    ),
    (
        "Chunks show that tools run.",
        ("agents/test_chunks.py::test_what_is_said_beside_a_call_is_not_in_the_chunks_and_tools_are_told_of",),
    ),
    (
        "Chunks say when they were made.",
        ("agents/test_chunks.py::test_chunks_and_responses_say_when_they_were_made_by_the_wall_clock",),
    ),
    (
        "Answers of run and run_streaming have the ids that were asked for, after a transfer too.",
        (
            "agents/test_handoffs.py::test_answers_after_a_transfer_have_the_ids_of_the_run_and_the_conversation_that_were_asked",
        ),
    ),
    (
        "The schema of typed input with a nested model has references that resolve.",
        ("agents/test_handoffs.py::test_the_schema_of_typed_input_has_references_that_resolve",),
    ),
    (
        "Bytes are decoded, and pictures that a tool returns are shown.",
        (
            "tools/test_parts.py::test_bytes_that_a_tool_takes_are_decoded_from_base64",
            "tools/test_parts.py::test_the_bytes_of_a_picture_or_a_pdf_are_shown_as_what_they_are",
            "agents/test_pictures_of_tools.py::test_the_model_is_shown_them_also_after_a_restart",
        ),
    ),
    (
        "Composite tools run in order unless they say otherwise.",
        ("tools/test_runner.py::TestComposite::test_its_calls_run_in_order_unless_it_says_otherwise",),
    ),
    (
        "A blocking tool's time in the queue is not its own, and long calls hold nobody up.",
        (
            "tools/test_threads.py::test_the_time_in_which_a_call_waits_for_a_thread_does_not_count",
            "tools/test_threads.py::test_calls_that_run_for_long_let_others_take_their_places",
        ),
    ),
    (
        "A tool may ask for a process, which leaves the loop alone.",
        (
            "tools/test_processes.py::test_it_runs_in_another_process_which_is_kept",
            "tools/test_processes.py::test_at_its_timeout_it_is_killed",
            "tools/test_processes.py::test_when_its_caller_gives_up_it_is_killed",
            "tools/test_processes.py::test_what_cannot_be_sent_is_named",
        ),
    ),
    (
        "No command reads the process's keys.",
        ("tools/test_keys.py::test_no_command_gets_at_the_keys_of_the_process_that_runs_it_or_of_its_workers",),
    ),
    (
        "A process that ran code ends in order, and has one pool of sandboxes.",
        (
            "tools/test_code.py::test_a_process_that_ran_code_ends_in_order_each_time",
            "tools/test_code.py::test_every_event_loop_of_the_process_uses_the_one_pool",
        ),
    ),
    (
        "An MCP server that crashed is connected to anew.",
        (
            "tools/test_mcp_failures.py::test_a_server_that_is_killed_between_calls_is_connected_to_anew",
            "tools/test_mcp_failures.py::test_a_server_made_with_the_official_sdk_is_connected_to_anew",
            "tools/test_mcp_failures.py::test_a_call_at_work_when_its_server_is_killed_is_a_named_error_and_is_not_made_again",
            "tools/test_mcp_failures.py::test_a_server_that_never_comes_back_is_a_named_error_and_used_again_when_it_does",
            "tools/test_mcp_failures.py::test_a_server_over_http_that_was_restarted_is_used_again",
        ),
    ),
    (
        "Addresses that are carried on to private ones are refused.",
        (
            "tools/test_web.py::test_addresses_that_are_carried_on_to_private_ones_are_refused",
            "tools/test_web.py::test_a_name_that_leads_elsewhere_once_it_was_checked_is_not_looked_up_again",
            "tools/test_web.py::test_an_answer_from_another_address_than_was_checked_is_not_read",
        ),
    ),
    (
        "A remote agent that has too much to do is asked again.",
        ("agents/test_targets_elsewhere.py::test_a_remote_agent_that_has_too_much_to_do_is_asked_again_when_it_says",),
    ),
    (
        "A pipeline's stages are in the chain.",
        ("agents/test_pipelines.py::test_the_stages_of_a_pipeline_are_in_the_chain_and_know_where_they_stand",),
    ),
    (
        "An answer's handoffs have the order that they promise.",
        ("agents/test_pipelines.py::test_handoffs_stand_each_before_those_that_came_of_it",),
    ),
    (
        "Tools made from a JSON schema check their arguments.",
        ("tools/test_from_schema.py::test_what_does_not_fit_is_told_with_its_place",),
    ),
    (
        "Running code can be declared risky.",
        ("tools/test_code.py::test_running_code_is_safe_whatever_it_calls_and_can_be_declared_risky",),
    ),
    ("MCP clients are supervised actors.", ("tools/test_mcp_failures.py::test_the_connection_is_a_supervised_actor",)),
    (
        "Work for agents elsewhere is done by supervised actors.",
        (
            "agents/test_own_agents.py::test_a_killed_conversation_asks_it_again_and_what_it_answered_is_kept",
            "agents/test_random_handoffs.py::test_whoever_crashes_every_kind_of_target_answers_once",
        ),
    ),
    (
        "A server that is told to end ends, and open runs go on in the next one.",
        ("durable/test_in_a_server.py::test_a_run_under_way_when_the_server_is_told_to_end_goes_on_in_the_next_one",),
    ),
    (
        "Adding an agent costs the same however many there are.",
        ("agents/test_directory.py::test_adding_an_agent_costs_as_much_among_three_thousand_as_among_ten",),
    ),
    (
        "A thousand agents with tools of their own take no more than seven megabytes.",
        ("agents/test_directory.py::test_a_thousand_agents_with_tools_of_their_own_take_less_than_seven_megabytes",),
    ),
    # -- who asks --
    (
        "Skills carry scopes.",
        ("agents/test_scopes.py::test_a_skills_scope_covers_its_tools_prompt_hooks_and_handoffs",),
    ),
    (
        "Hooks carry scopes.",
        (
            "agents/test_scopes.py::test_a_hook_with_a_scope_runs_for_those_who_have_it_and_a_guardrail_without_one_always",
        ),
    ),
    (
        "Handoffs carry scopes.",
        ("agents/test_scopes.py::test_a_handoff_with_a_scope_is_offered_to_and_done_for_those_who_have_it",),
    ),
    (
        "Approvals carry scopes.",
        (
            "agents/test_autonomy.py::test_a_call_is_decided_by_those_whom_its_tool_names_or_else_by_whoever_asked_for_it",
        ),
    ),
    (
        "Scopes hold where a thing is run, and not only where it is offered.",
        (
            "agents/test_scopes.py::test_a_hook_that_changes_a_call_gives_nobody_a_tool",
            "agents/test_scopes.py::test_what_was_asked_about_or_approved_is_not_run_once_its_caller_may_not_use_it",
            "agents/test_scopes.py::test_a_delegate_uses_what_the_caller_may_and_not_what_its_asker_or_owner_may",
            "agents/test_scopes.py::test_whatever_the_scopes_each_caller_is_offered_just_what_the_rule_says",
        ),
    ),
    (
        "A conversation belongs to its user.",
        (
            "agents/test_whose_conversation.py::test_a_conversation_is_gone_on_with_by_its_own_user_or_a_colleague_who_has_the_scope",
        ),
    ),
    (
        "Limits per user and tenant are asked before a run is accepted, and say when to come back.",
        (
            "agents/test_quotas.py::test_who_has_nothing_left_is_told_when_to_come_back_and_nothing_is_begun",
            "agents/test_quotas.py::test_of_several_budgets_that_are_spent_the_last_to_be_refilled_counts",
        ),
    ),
    (
        "Limits are kept in the journal's store.",
        (
            "providers/pool/test_quotas.py::test_counts_outlive_the_process_and_are_shared_by_several",
            "agents/test_agencies_and_pools.py::test_what_was_spent_is_kept_in_the_agencys_journal",
        ),
    ),
    (
        "Credentials per user reach tools, and no prompt, log or journal.",
        (
            "agents/test_credentials.py::test_a_secret_stands_nowhere_in_a_whole_durable_run_whatever_its_tool_does_with_it",
            "agents/test_credentials.py::test_each_caller_gets_their_own_also_along_a_chain",
        ),
    ),
    # -- typed dependencies --
    (
        "An agent says for type checkers what it depends on and answers.",
        (
            "agents/test_tool_context.py::test_an_agent_may_say_for_type_checkers_what_it_depends_on_and_answers",
            "typing/test_types.py::test_both_checkers_see_the_types_that_are_asserted",
        ),
    ),
    (
        "A tool's first parameter may be its context: call, messages, caller, step, last tool.",
        (
            "agents/test_tool_context.py::test_a_tool_is_told_of_its_call_and_its_run",
            "agents/test_tool_context.py::test_last_tool_is_of_this_run_alone",
            "tools/test_context.py::test_the_context_is_not_in_the_schema",
        ),
    ),
    (
        "A call has a key of its own over all runs, and has it again where it is made again after a crash.",
        (
            "agents/test_tool_context.py::test_no_two_calls_have_one_key_though_a_vendor_gives_all_of_them_one_id",
            "agents/test_tool_context.py::test_a_call_that_is_made_again_by_the_next_process_has_its_key",
            "agents/test_resume.py::test_a_killed_process_leaves_its_run_to_the_next_one",
        ),
    ),
    (
        "A tool is given its run's dependencies, which nothing records.",
        (
            "agents/test_tool_context.py::test_a_run_has_the_deps_it_was_given_and_otherwise_the_agencys",
            "agents/test_tool_context.py::test_deps_are_in_no_journal_no_log_and_no_event",
            "agents/test_tool_context.py::test_a_run_that_is_taken_up_after_a_restart_has_the_agencys_deps",
        ),
    ),
    (
        "A tool tells what it spends, with reason and metadata, once whatever crashes.",
        (
            "agents/test_tool_context.py::test_what_a_tool_spends_is_in_the_answers_cost",
            "agents/test_tool_context.py::test_what_was_spent_stands_in_the_journal_with_its_reason",
            "agents/test_kills_between_steps.py::test_whoever_is_killed_at_whichever_event_a_run_is_charged_planned_and_stopped_once",
        ),
    ),
    (
        "A tool tells its progress.",
        ("agents/test_tool_context.py::test_progress_reaches_those_who_look_on_before_the_result",),
    ),
    (
        "An answer is typed.",
        (
            "typing/test_types.py::test_both_checkers_see_the_types_that_are_asserted",
            "agents/test_typed_answers.py::test_whoever_asks_again_gets_the_same_value",
        ),
    ),
    (
        "Structured output is told in parts while it is streamed.",
        (
            "agents/test_partial_answers.py::test_what_there_is_is_told_as_the_type_and_what_has_not_come_has_its_default",
        ),
    ),
    (
        "A repair keeps the text that was refused.",
        ("agents/test_answer_steps.py::test_a_refused_text_stays_in_the_history_and_its_step_says_what_was_wrong",),
    ),
    (
        "A stop condition ends a run with what there is.",
        (
            "agents/test_step_by_step.py::test_a_condition_ends_a_run_with_what_there_is",
            "agents/test_step_by_step.py::test_that_a_run_was_stopped_is_recorded_and_is_not_decided_anew",
            "agents/test_kills_between_steps.py::test_whoever_is_killed_at_whichever_event_a_run_is_charged_planned_and_stopped_once",
        ),
    ),
    (
        "A plan says model, tools and instructions of one step.",
        (
            "agents/test_step_by_step.py::test_a_plan_says_model_tools_instructions_and_settings_of_one_step",
            "agents/test_step_by_step.py::test_what_a_step_did_not_offer_is_not_carried_out",
            "agents/test_kills_between_steps.py::test_whoever_is_killed_at_whichever_event_a_run_is_charged_planned_and_stopped_once",
        ),
    ),
    # -- answers --
    (
        "Steps are records of thought, action, tool, input, output and usage.",
        (
            "agents/test_answer_steps.py::test_each_completion_is_a_step_with_thought_action_tool_input_output_and_usage",
        ),
    ),
    (
        "A step has its time.",
        ("agents/test_answer_steps.py::test_the_time_of_a_step_is_the_completions_and_that_of_a_call_its_own",),
    ),
    (
        "A step has those of the agents that work was handed to.",
        ("agents/test_answer_steps.py::test_the_steps_of_those_that_work_was_handed_to_are_within_the_call",),
    ),
    (
        "Confidence is the model's own or None, and never invented.",
        (
            "agents/test_answer_steps.py::test_confidence_is_what_the_model_said_in_a_structured_answer",
            "agents/test_answer_steps.py::test_confidence_is_the_mean_probability_of_the_tokens_where_the_vendor_tells_it",
            "agents/test_answer_steps.py::test_confidence_is_never_invented",
        ),
    ),
    (
        "An answer has the agents that were used, and the chain.",
        (
            "agents/test_pipelines.py::test_the_stages_of_a_pipeline_are_in_the_chain_and_know_where_they_stand",
            "agents/test_answer_steps.py::test_the_steps_of_those_that_work_was_handed_to_are_within_the_call",
        ),
    ),
    (
        "Notes are told once.",
        ("agents/test_answer_steps.py::test_a_note_is_told_once_and_so_are_those_of_agents_that_work_was_handed_to",),
    ),
    (
        "Steps are read from the journal later.",
        ("agents/test_answer_steps.py::test_the_same_steps_are_read_from_the_journal_after_a_restart",),
    ),
    ("run_sync gives the whole answer.", ("agents/test_run_sync.py::test_the_whole_answer_comes_back",)),
    # -- handoffs --
    (
        "Another model may go on with the same conversation, with overrides.",
        (
            "agents/test_other_models.py::test_another_model_is_asked_with_the_same_conversation_and_its_answer_comes_back",
            "agents/test_other_models.py::test_the_same_model_with_other_settings_needs_a_name",
        ),
    ),
    (
        "A pipeline is of agents and of plain functions.",
        (
            "agents/test_pipelines.py::test_a_pipeline_may_be_of_agents_and_of_plain_functions",
            "agents/test_pipelines.py::test_a_stage_whose_result_was_recorded_is_not_run_again_after_a_crash",
        ),
    ),
    (
        "An address is a target.",
        ("agents/test_targets_elsewhere.py::test_an_address_is_a_target_that_is_called_after_its_host",),
    ),
    (
        "A task is handed to several models at once.",
        (
            "agents/test_agencies_and_pools.py::test_a_task_is_handed_to_several_models_at_once",
            "agents/test_agencies_and_pools.py::test_a_fan_out_without_a_pool_says_so",
        ),
    ),
    (
        "Agents of one's own class answer by themselves.",
        (
            "agents/test_own_agents.py::test_an_agent_of_ones_own_class_is_asked_as_any_other",
            "agents/test_own_agents.py::test_a_conversation_is_transferred_to_it_for_good",
        ),
    ),
    (
        "Webhooks are targets.",
        (
            "agents/test_targets_elsewhere.py::test_a_webhook_is_sent_the_task_and_who_asks_and_answers_in_the_agents_place",
        ),
    ),
    (
        "Filters hold for every handoff, also for transfers.",
        (
            "agents/test_hooks_on_handoffs.py::test_a_history_filter_chooses_what_a_delegate_sees_besides_its_task",
            "agents/test_handoffs.py::test_a_history_filter_chooses_what_the_new_owner_sees",
            "agents/test_hooks_on_handoffs.py::test_a_hook_sees_what_the_target_would_see_and_takes_a_password_out_of_it",
        ),
    ),
    (
        "The policy is data: which agents and which domains are allowed.",
        (
            "agents/test_handoff_policy.py::test_what_the_policy_forbids_is_neither_offered_nor_done",
            "agents/test_handoff_policy.py::test_targets_elsewhere_have_to_be_where_the_policy_allows",
        ),
    ),
    (
        "The target is told who asks.",
        ("agents/test_handoffs.py::test_the_target_is_told_who_asks_and_the_vendor_is_not_told_for_whom",),
    ),
    (
        "Whom an agent may reach is told, allowed and revoked while it runs.",
        (
            "agents/test_directory.py::test_whom_an_agent_may_reach_follows_each_agent_that_is_added",
            "agents/test_handoff_policy.py::test_a_handoff_that_is_revoked_in_a_run_under_way_is_refused_from_the_next_one_on",
            "agents/test_handoff_policy.py::test_allowing_and_revoking_from_many_threads_leaves_what_was_said_last",
        ),
    ),
    (
        "A function may be a handoff.",
        (
            "agents/test_chosen_handoffs.py::test_a_functions_parameters_are_what_the_model_fills_in_and_it_chooses_the_target",
        ),
    ),
    (
        "A summary may be written by a model.",
        (
            "agents/test_other_models.py::test_a_delegate_is_told_a_summary_that_a_model_wrote",
            "agents/test_other_models.py::test_a_summary_that_was_recorded_is_not_asked_for_again_after_a_crash",
        ),
    ),
    (
        "Every kind of target answers once, whatever crashes, stops or is cancelled.",
        (
            "agents/test_random_handoffs.py::test_whoever_crashes_every_kind_of_target_answers_once",
            "agents/test_random_handoffs.py::test_cancelled_at_any_event_nothing_goes_on_and_the_history_is_valid",
            "agents/test_random_handoffs.py::test_a_process_that_stops_at_any_event_leaves_every_result_to_the_next_one",
        ),
    ),
    # -- live agents, and the developer team --
    (
        "Tools, hooks, handoffs and skills are given to an agent at work.",
        (
            "agents/test_live_agents.py::test_a_run_under_way_sees_what_its_agent_is_given_from_its_next_completion_on",
            "agents/test_live_agents.py::test_hooks_handoffs_and_skills_come_and_go",
            "agents/test_live_agents.py::test_changes_at_any_moment_under_any_schedule_and_crash_leave_every_run_its_answer",
        ),
    ),
    (
        "Any thread may change an agent.",
        ("agents/test_live_agents.py::test_any_thread_may_change_an_agent_while_it_is_at_work",),
    ),
    (
        "describe tells what an agent can do, with sources and scopes.",
        ("agents/test_live_agents.py::test_an_agent_says_what_it_can_do_and_where_it_has_it_from",),
    ),
    (
        "A developer has its ten tools, and settings and instructions of its kind.",
        (
            "agents/test_developer_team.py::test_a_developer_has_its_ten_tools_and_those_it_is_given",
            "agents/test_developer_team.py::test_settings_and_instructions_are_those_of_the_models_kind",
            "agents/test_developer_team.py::test_each_kind_of_model_takes_its_settings_as_they_are",
        ),
    ),
    (
        "The planner hands over.",
        ("agents/test_developer_team.py::test_the_planner_hands_over_to_a_developer_who_works_on_the_folder",),
    ),
    (
        "There are default tools of a folder.",
        ("agents/test_developer_team.py::test_default_tools_are_all_that_need_nothing_further",),
    ),
    ("Several folders may be allowed.", ("agents/test_developer_team.py::test_several_folders_may_be_allowed",)),
    (
        "Public search engines are asked without a server of one's own.",
        ("tools/test_web.py::test_public_search_engines_are_asked_by_way_of_ddgs",),
    ),
    (
        "A tool is made from a JSON schema and a handler.",
        ("tools/test_from_schema.py::test_a_handler_gets_arguments_that_fit",),
    ),
    (
        "Running code is asked about.",
        ("agents/test_developer_team.py::test_a_supervised_developer_asks_before_it_writes_or_runs_anything",),
    ),
    # -- small and expected --
    (
        "An agent has a scope.",
        (
            "agents/test_scopes.py::test_who_has_no_scope_for_an_agent_is_refused_and_nothing_is_begun",
            "agents/test_scopes.py::test_an_agent_is_neither_offered_to_nor_asked_for_those_who_may_not_ask_it",
        ),
    ),
    (
        "An agent of plain data takes all fields.",
        (
            "agents/test_from_config.py::test_every_field_can_be_said_in_plain_data",
            "agents/test_from_config.py::test_no_field_is_left_out",
            "agents/test_from_config.py::test_a_team_file_can_say_every_field",
        ),
    ),
    (
        "A request has its own number of retries.",
        ("agents/test_max_retries.py::test_a_request_is_sent_again_as_often_as_it_says",),
    ),
    (
        "A model may have a token counter of one's own.",
        ("providers/test_token_counters.py::test_a_model_is_counted_by_its_own_counter_and_others_by_that_for_all",),
    ),
    (
        "A tool may have several scopes.",
        ("agents/test_scopes.py::test_a_tool_is_offered_to_and_run_for_those_who_have_one_of_its_scopes_only",),
    ),
    (
        "A context says when the run was asked for and whether it streams.",
        ("agents/test_tool_context.py::test_a_tool_is_told_whether_the_run_streams_and_when_it_was_asked_for",),
    ),
    ("An agency has a name.", ("agents/test_words.py::test_an_agency_has_a_name_by_which_its_actors_are_known",)),
    (
        "run_sync returns an error in the answer in place of raising it.",
        ("agents/test_run_sync.py::test_an_error_is_raised_or_returned_in_the_answer_with_what_was_done",),
    ),
    (
        "With many tools the model sees a search, and loads schemas when they are needed.",
        (
            "agents/test_deferred_tools.py::test_the_model_sees_a_search_and_then_what_it_has_found",
            "agents/test_deferred_tools.py::test_what_is_loaded_stays_so_for_the_conversation_over_restarts_and_forks",
            "agents/test_deferred_tools.py::test_a_call_of_a_tool_that_is_not_loaded_is_answered_with_its_schema",
        ),
    ),
    (
        "What deferred tools save is measured.",
        ("agents/test_deferred_tools.py::test_sixty_tools_cost_less_than_a_fifth_of_the_tokens",),
    ),
    (
        "The same call with the same result again and again ends by name.",
        (
            "agents/test_step_by_step.py::test_a_call_with_the_same_result_again_and_again_ends_the_run_after_a_warning",
            "agents/test_kills_between_steps.py::test_whoever_is_killed_at_whichever_event_a_loop_is_found_at_the_same_call",
        ),
    ),
    (
        "The facade has the events and the errors.",
        ("agents/test_facade.py::test_every_event_and_every_error_is_exported_here",),
    ),
    (
        "The facade has Pool, load_config, load_team, RequestContext, BaseTool, Journal and simulate.",
        ("agents/test_facade.py::test_what_a_program_needs_is_imported_from_one_place",),
    ),
    ("load_team takes tools.", ("agents/test_from_config.py::test_names_stand_for_what_is_given",)),
    (
        "One class is called Limits.",
        ("agents/test_words.py::test_one_class_is_called_limits_and_those_of_endpoints_and_servers_are_quotas",),
    ),
    (
        "Hooks run in one order.",
        (
            "agents/test_hook_order.py::test_an_agents_own_come_before_those_of_its_skills_and_required_skills_before_others",
            "agents/test_hooks.py::test_higher_priority_goes_first_and_equal_ones_in_the_order_given",
        ),
    ),
    (
        "No private word is left.",
        (
            "agents/test_words.py::test_no_public_name_parameter_or_attribute_is_a_private_word",
            "agents/test_words.py::test_no_file_is_called_by_a_private_word",
        ),
    ),
    (
        "A verbose agency prints the flow.",
        ("agents/test_flow_lines.py::test_a_verbose_agency_prints_who_says_what_to_whom",),
    ),
    (
        "A run at DEBUG says what happens.",
        ("agents/test_flow_lines.py::test_a_run_at_debug_says_what_happens_without_what_is_said",),
    ),
    (
        "A profile has latency, tokens a second, error rate, cost and a histogram.",
        (
            "agents/test_profiler.py::test_time_is_the_loops_so_that_a_simulation_measures_its_own",
            "agents/test_profiler.py::test_failures_are_counted_by_name_and_measured_apart",
            "agents/test_profiler.py::test_a_histogram_has_every_run_once_and_its_bins_join",
        ),
    ),
    ("A profile is a picture.", ("agents/test_profiler.py::test_a_profile_is_saved_as_a_picture",)),
    # -- reach --
    (
        "No file of the agents is longer than 500 lines.",
        ("agents/test_promises.py::test_no_file_of_the_agents_is_longer_than_500_lines",),
    ),
    (
        "Each request is valid for every vendor, and no answer, cost or id is lost.",
        ("agents/test_random_agencies.py::test_every_vendor_takes_every_request_and_no_answer_cost_or_id_is_lost",),
    ),
    (
        "Chunks read with the SDK and put together are the answer's text, always.",
        (
            "agents/test_chunks.py::test_chunks_of_any_run_put_together_are_the_answers_text",
            "agents/test_random_agencies.py::test_the_sdk_puts_the_chunks_of_any_run_together_to_the_answers_text",
        ),
    ),
)
