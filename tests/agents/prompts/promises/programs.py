"""What prompts promise of functions, task lists and task graphs."""

from __future__ import annotations

PROGRAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "`tests/examples/functions.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "The model is offered the tool `RunPython`, with the functions of this step as typed",
        (
            "agents/prompts/test_functions.py::test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept",
            "agents/prompts/test_function_agents.py::test_the_model_reads_what_an_agent_takes_and_returns",
        ),
    ),
    (
        "It is checked, bounded, asked about and gone on with as said of",
        (
            "agents/prompts/test_functions.py::test_what_is_wrong_with_a_program_is_told_with_its_line_and_nobody_is_asked",
            "agents/prompts/test_functions.py::test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept",
            "agents/prompts/test_functions.py::test_what_a_program_may_use_is_said_in_the_prompt",
            "agents/prompts/test_functions.py::test_a_program_that_waits_for_a_person_goes_on_after_a_restart",
        ),
    ),
    (
        "`prompt.function` takes what `prompt.tool` takes, and sub-agents; also as a decorator;",
        (
            "tools/test_programs.py::test_functions_of_a_namespace_are_called_by_both_names",
            "agents/prompts/test_functions.py::test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept",
            "agents/prompts/test_function_agents.py::test_a_program_calls_an_agent_which_makes_a_run_of_its_own",
            "agents/prompts/test_functions.py::test_what_is_used_wrongly_is_named",
        ),
    ),
    (
        "`response`, `before_call`, `on_success`, `on_error`, `risk` and the other options hold",
        (
            "tools/test_programs.py::test_hooks_of_a_function_see_its_calls",
            "tools/test_programs.py::test_a_hooks_answer_is_read_as_the_declared_response",
            "agents/prompts/test_functions.py::test_a_program_gets_the_value_of_a_hook_or_what_its_text_says",
            "agents/prompts/test_function_agents.py::test_what_before_call_of_a_plain_function_puts_in_its_place_comes_to_the_program",
        ),
    ),
    (
        "A call that needs an approval pauses the program.",
        (
            "agents/prompts/test_functions.py::test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept",
            "agents/prompts/test_functions.py::test_a_function_that_is_refused_raises_in_the_program",
        ),
    ),
    (
        "It goes on after it, also in another process: what was called before is not called again.",
        (
            "agents/prompts/test_functions.py::test_a_program_that_waits_for_a_person_goes_on_after_a_restart",
            "agents/prompts/test_functions.py::test_a_process_that_is_killed_at_each_single_write_of_a_program_buys_nothing_twice",
        ),
    ),
    (
        "What a function sets is the conversation's together with the result of its call, not only",
        (
            "agents/prompts/test_functions.py::test_a_program_calls_functions_each_is_asked_about_and_what_they_set_is_kept",
            "agents/prompts/test_functions.py::test_a_process_that_is_killed_in_the_middle_of_a_program_buys_nothing_twice",
        ),
    ),
    (
        '`prompt.function(SubAgent("judge", "…", Thing, judge, response_schema=Need))` is a',
        (
            "agents/prompts/test_function_agents.py::test_a_program_calls_an_agent_which_makes_a_run_of_its_own",
            "agents/prompts/test_function_agents.py::test_an_answer_with_a_schema_comes_to_the_program_as_plain_data",
        ),
    ),
    (
        "All that is said of [sub-agents](#sub-agents) holds, the functions around a call and",
        (
            "agents/prompts/test_function_agents.py::test_functions_around_a_call_change_it_and_set_the_state_of_who_calls",
            "agents/prompts/test_function_agents.py::test_hooks_on_calls_and_handoffs_see_an_agent_that_a_program_calls",
            "agents/prompts/test_function_agents.py::test_a_person_is_asked_about_what_an_agent_does_for_a_program",
        ),
    ),
    (
        "Several are asked at once by `asyncio.gather`, each with what is left to the run.",
        (
            "agents/prompts/test_function_agents.py::test_what_agents_use_counts_for_the_run_and_is_shown_with_the_call",
            "agents/prompts/test_function_agents.py::test_an_agent_gets_what_is_left_to_the_run",
        ),
    ),
    (
        "A run that fails raises `RuntimeError` in the program, and so does an answer that does",
        (
            "agents/prompts/test_function_agents.py::test_an_agent_that_fails_raises_in_the_program_and_the_rest_goes_on",
            "agents/prompts/test_function_agents.py::test_an_answer_that_does_not_fit_is_raised_in_the_program",
        ),
    ),
    (
        "A program that is begun again after a crash finds the agents that it has asked where they were.",
        (
            "agents/prompts/test_function_agents_crashes.py::test_a_process_that_is_killed_half_way_asks_nobody_again_who_has_answered",
            "agents/prompts/test_function_agents_crashes.py::test_a_process_that_is_killed_at_each_single_write_has_found_what_it_would_have_found",
        ),
    ),
    (
        "One that fails or is cancelled stops those that still work; an agent that a program does",
        (
            "agents/prompts/test_function_agents.py::test_cancelling_the_run_ends_the_agents_that_its_program_has_asked",
            "agents/prompts/test_function_agents.py::test_a_program_that_fails_ends_the_agents_that_it_has_asked_and_what_they_used_counts",
            "agents/prompts/test_function_agents.py::test_an_agent_that_a_program_does_not_wait_for_makes_its_run_to_the_end",
        ),
    ),
    (
        "What they used counts for the run, and is shown with the call of `RunPython`",
        ("agents/prompts/test_function_agents.py::test_what_agents_use_counts_for_the_run_and_is_shown_with_the_call",),
    ),
    (
        "`prompt.function_bounds(timeout=…, max_memory=…, max_calls=…)` says what one program may use.",
        (
            "agents/prompts/test_functions.py::test_what_a_program_may_use_is_said_in_the_prompt",
            "tools/test_programs.py::test_what_a_program_uses_is_bounded",
        ),
    ),
    (
        "Stubs are kept by what they say: functions that a step makes anew cost 15 µs each, not 75.",
        ("tools/test_stubs.py::test_functions_that_are_made_again_have_the_stubs_that_they_had",),
    ),
    (
        "A name that Python has itself or could not use (not in NFKC), that of a module that",
        (
            "agents/prompts/test_functions.py::test_what_is_used_wrongly_is_named",
            "tools/test_programs.py::test_names_that_a_program_could_not_use_are_refused",
        ),
    ),
    (
        "`tests/examples/task_graph.py` is a program of it.",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        "**Both.** A task is pending, in progress, completed or failed.",
        (
            "agents/prompts/test_task_list_values.py::test_any_sequence_of_updates_says_what_happened_and_survives_a_restart",
            "agents/prompts/test_task_graph_values.py::test_what_is_asked_wrongly_is_refused_by_name",
        ),
    ),
    (
        "| from | to | when | |---|---|---| | pending | in_progress | it is started; in a graph,",
        (
            "agents/prompts/test_task_list_values.py::test_any_sequence_of_updates_says_what_happened_and_survives_a_restart",
            "agents/prompts/test_task_graph_values.py::test_a_failed_task_holds_up_what_depends_on_it_until_it_is_tried_again",
            "agents/prompts/test_task_graph_values.py::test_what_is_given_back_belongs_to_nobody",
        ),
    ),
    (
        "What is completed stays so.",
        (
            "agents/prompts/test_task_list_values.py::test_what_is_asked_wrongly_is_refused_by_name",
            "agents/prompts/test_task_graph_values.py::test_what_is_asked_wrongly_is_refused_by_name",
        ),
    ),
    (
        "Any other move, an unknown id, data that are not plain: `TaskError`, whose text says what",
        (
            "agents/prompts/test_task_list_values.py::test_any_sequence_of_updates_says_what_happened_and_survives_a_restart",
            "agents/prompts/test_task_list_values.py::test_what_is_asked_wrongly_is_refused_by_name",
            "agents/prompts/test_task_graph_values.py::test_what_is_asked_wrongly_is_refused_by_name",
            "agents/prompts/test_task_graph_values.py::test_everything_that_is_wrong_is_said_at_once_and_nothing_is_added",
        ),
    ),
    (
        "Both are state of the conversation: each conversation has its own, and it outlives turns,",
        (
            "agents/prompts/test_task_plugins.py::test_a_conversation_keeps_one_list_over_turns_and_processes",
            "agents/prompts/test_task_plugins.py::test_whoever_is_killed_at_whichever_event_the_list_and_the_graph_are_as_they_would_be",
        ),
    ),
    (
        "The first tasks given to `task_list` and `task_graph` count the first time in a",
        (
            "agents/prompts/test_task_plugins.py::test_a_conversation_keeps_one_list_over_turns_and_processes",
            "agents/prompts/test_task_plugins.py::test_first_tasks_may_be_mappings_as_models_give_them",
        ),
    ),
    (
        "Anything else is a `PromptError`.",
        (
            "agents/prompts/test_task_plugins.py::test_first_tasks_of_a_list_that_are_none_are_named",
            "agents/prompts/test_task_plugins.py::test_first_tasks_of_a_graph_that_are_none_are_named",
        ),
    ),
    (
        "How far they are stands in the system prompt of each step, as `<task_list>` and",
        (
            "agents/prompts/test_task_plugins.py::test_the_list_of_each_step_says_what_the_calls_before_it_did",
            "agents/prompts/test_task_plugins.py::test_a_model_plans_works_off_and_hands_results_downstream",
            "agents/prompts/test_task_graph_values.py::test_the_text_of_a_large_graph_shows_what_matters",
            "agents/prompts/test_task_list_values.py::test_the_text_says_how_far_it_is",
        ),
    ),
    (
        "The tools change nothing but state, so they are idempotent: a call that a crash",
        (
            "agents/prompts/test_task_plugins.py::test_whoever_is_killed_at_whichever_event_the_list_and_the_graph_are_as_they_would_be",
            "durable/test_task_lists_and_graphs.py::test_a_list_and_a_graph_are_as_they_would_have_been_whenever_the_process_is_killed",
        ),
    ),
    (
        "Of two calls of one step that start the same task in a graph one gets it, the other an error.",
        ("agents/prompts/test_task_plugins.py::test_of_two_calls_of_one_step_that_start_a_task_one_gets_it",),
    ),
    (
        "They are values (`TaskListState`, `TaskGraphState`) that do not change; `set_tasks` and",
        (
            "agents/prompts/test_task_list_values.py::test_a_list_does_not_change",
            "agents/prompts/test_task_graph_values.py::test_a_graph_does_not_change",
            "agents/prompts/test_task_plugins.py::test_code_of_the_prompt_function_changes_the_list_too",
        ),
    ),
    (
        "**Task list.** The tools are `start_task`, `complete_task` and `fail_task`.",
        ("agents/prompts/test_task_plugins.py::test_the_list_of_each_step_says_what_the_calls_before_it_did",),
    ),
    (
        "Each takes the task's id, and metadata (plain data) that are added to what is kept with the task.",
        ("agents/prompts/test_task_plugins.py::test_the_list_of_each_step_says_what_the_calls_before_it_did",),
    ),
    (
        'Titles are numbered from 1; `ListedTask("call", "call back")` has an id of its own.',
        (
            "agents/prompts/test_task_list_values.py::test_the_text_says_how_far_it_is",
            "agents/prompts/test_task_list_values.py::test_tasks_are_added_at_the_end",
        ),
    ),
    (
        "An id is made of letters, digits, `_ . : /` and `-`, at most 64; a model may write a",
        (
            "agents/prompts/test_task_list_values.py::test_what_is_asked_wrongly_is_refused_by_name",
            "agents/prompts/test_task_plugins.py::test_where_tasks_are_numbered_a_number_is_an_id",
        ),
    ),
    (
        "`generate_task_graph` adds many tasks in one call, all or none.",
        (
            "agents/prompts/test_task_plugins.py::test_a_plan_that_is_wrong_adds_nothing_and_says_what_is_wrong",
            "agents/prompts/test_task_plugins.py::test_a_model_plans_works_off_and_hands_results_downstream",
        ),
    ),
    (
        "A task has an id, a title, a description, `dependencies` and `unblocks` (the same links",
        ("agents/prompts/test_task_graph_values.py::test_a_link_told_from_one_end_stands_at_both",),
    ),
    (
        "New tasks may depend on those that are there, and pending ones be made to wait for new ones.",
        ("agents/prompts/test_task_graph_values.py::test_a_graph_grows_and_makes_pending_tasks_wait",),
    ),
    (
        "Refused are ids that are given twice or are there already, links to unknown tasks, what",
        (
            "agents/prompts/test_task_graph_values.py::test_everything_that_is_wrong_is_said_at_once_and_nothing_is_added",
            "agents/prompts/test_task_graph_values.py::test_a_cycle_is_refused_with_its_path",
            "agents/prompts/test_task_graph_values.py::test_a_graph_grows_and_makes_pending_tasks_wait",
            "agents/prompts/test_task_graph_values.py::test_a_long_cycle_is_told_without_its_middle",
        ),
    ),
    (
        "`get_unblocked_tasks` tells the tasks that can be started now, of those capabilities if",
        (
            "agents/prompts/test_task_plugins.py::test_a_model_plans_works_off_and_hands_results_downstream",
            "agents/prompts/test_task_tools.py::test_several_agents_work_off_one_graph",
        ),
    ),
    (
        "`update_task_status` moves a task, keeps its `output_result`, and answers with the tasks",
        (
            "agents/prompts/test_task_plugins.py::test_a_model_plans_works_off_and_hands_results_downstream",
            "agents/prompts/test_task_plugins.py::test_of_two_calls_of_one_step_the_later_says_what_both_have_unblocked",
        ),
    ),
    (
        "Results flow downstream: what a task starts from (`input_context`) is what it was",
        (
            "agents/prompts/test_task_plugins.py::test_a_model_plans_works_off_and_hands_results_downstream",
            "agents/prompts/test_task_graph_values.py::test_a_failed_task_holds_up_what_depends_on_it_until_it_is_tried_again",
        ),
    ),
    (
        "A failed task holds up what depends on it until it is tried again and completed.",
        (
            "agents/prompts/test_task_graph_values.py::test_a_failed_task_holds_up_what_depends_on_it_until_it_is_tried_again",
        ),
    ),
    (
        "Its result says why it failed.",
        (
            "agents/prompts/test_task_graph_values.py::test_a_failed_task_holds_up_what_depends_on_it_until_it_is_tried_again",
        ),
    ),
    (
        "Who starts a task has it assigned; giving it back frees it.",
        ("agents/prompts/test_task_graph_values.py::test_what_is_given_back_belongs_to_nobody",),
    ),
    (
        "100,000 tasks in chains of 600 are made, worked on and restored; each operation is linear",
        (
            "agents/prompts/test_task_graph_values.py::test_a_hundred_thousand_tasks_in_chains_of_six_hundred_are_made_worked_on_and_restored",
        ),
    ),
    (
        '**Workers.** `prompt.task_graph(workers=[TaskWorker("surfer", "Searches the web.", surf,',
        (
            "agents/prompts/test_task_workers.py::test_a_call_names_workers_and_their_tasks",
            "agents/prompts/test_task_workers.py::test_answers_complete_tasks_and_errors_fail_them_side_by_side",
            "agents/prompts/test_task_workers.py::test_a_failed_task_is_handed_over_again_and_a_completed_one_is_not",
        ),
    ),
    (
        "`surf(prompt, task)` is a worker's own prompt function; `task` is a `TaskInput`, whose",
        ("agents/prompts/test_task_workers.py::test_a_worker_is_given_the_task_with_the_results_that_it_starts_from",),
    ),
    (
        "`get_unblocked_tasks` and the other tools name for each task the `worker` to hand it to:",
        (
            "agents/prompts/test_task_workers.py::test_the_plan_is_answered_with_the_worker_for_each_task",
            "agents/prompts/test_task_graph_values.py::test_a_task_goes_to_whom_it_is_assigned_or_to_a_capable_agent_with_the_least_to_do",
        ),
    ),
    (
        "A task is worked on once: what another call of the step has handed over or started is",
        ("agents/prompts/test_task_workers.py::test_a_task_that_is_handed_over_twice_in_one_step_is_worked_on_once",),
    ),
    (
        "A worker that is not capable of what the task requires, or not the one it is assigned to,",
        ("agents/prompts/test_task_workers.py::test_what_a_worker_cannot_work_on_is_refused_and_stays_as_it_was",),
    ),
    (
        "A worker's answer completes the task and becomes its result, in one write with the",
        (
            "agents/prompts/test_task_workers.py::test_answers_complete_tasks_and_errors_fail_them_side_by_side",
            "agents/prompts/test_task_workers.py::test_an_answer_that_does_not_fit_fails_the_task",
            "agents/prompts/test_task_workers.py::test_an_answer_that_cannot_be_kept_fails_the_task_which_may_be_handed_over_again",
        ),
    ),
    (
        "So where a restart comes between several, what was finished stays so.",
        (
            "agents/prompts/test_task_workers.py::test_tasks_that_are_half_done_when_the_process_is_killed_are_gone_on_with_and_finished_ones_stay_so",
        ),
    ),
    (
        "`todo_tool()` is the tool TodoWrite, which `developer_tools` has: the model writes the",
        (
            "agents/prompts/test_task_tools.py::test_a_model_keeps_its_plan_by_writing_it_whole",
            "agents/test_developer_team.py::test_a_developer_has_its_ten_tools_and_those_it_is_given",
        ),
    ),
    (
        "It stands in the messages, and nowhere else.",
        ("agents/prompts/test_task_tools.py::test_each_conversation_has_the_plan_that_stands_in_its_messages",),
    ),
    (
        '`SharedTaskGraph` keeps a graph in memory for several agents: `graph.tools("ada",',
        (
            "agents/prompts/test_task_tools.py::test_several_agents_work_off_one_graph",
            "agents/prompts/test_task_tools.py::test_a_task_that_two_want_goes_to_one",
        ),
    ),
    ("It ends with the process.", ("agents/prompts/test_task_tools.py::test_several_agents_work_off_one_graph",)),
    (
        "What an agent that had read text from outside puts into it",
        (
            "agents/labels/test_labels.py"
            "::test_a_task_graph_that_agents_share_has_the_labels_of_who_puts_something_into_it",
        ),
    ),
)
