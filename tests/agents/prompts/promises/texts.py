"""What prompts promise of templates and of instructions from Markdown."""

from __future__ import annotations

TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "A folder of YAML files: prompts that can be read, reviewed and changed without code.",
        ("agents/prompts/test_template_folders.py::test_a_file_is_a_template_by_its_dotted_name",),
    ),
    (
        "`support/triage.yaml` in the folder is the template `support.triage`:",
        ("agents/prompts/test_template_folders.py::test_a_file_is_a_template_by_its_dotted_name",),
    ),
    (
        "**What it becomes.** `system` is a part of the system prompt with the template's name,",
        (
            "agents/prompts/test_templates_in_runs.py::test_a_template_is_a_prompt_function_for_an_agent",
            "agents/prompts/test_page.py::test_the_template_of_the_page_is_one",
        ),
    ),
    (
        "Each example of `few_shot` is a message of the user's and one of the assistant's, and",
        (
            "agents/prompts/test_template_folders.py::test_examples_become_messages_of_both_sides",
            "agents/prompts/test_templates_in_runs.py::test_a_template_is_a_prompt_function_for_an_agent",
        ),
    ),
    (
        "All are optional, but one must be there.",
        (
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
        ),
    ),
    (
        "A text that renders to nothing is left out; of an example, both sides or none.",
        (
            "agents/prompts/test_template_folders.py::test_a_text_that_becomes_empty_is_none",
            "agents/prompts/test_template_folders.py::test_an_example_that_becomes_empty_is_left_out_and_half_a_one_is_refused",
        ),
    ),
    (
        "`folder.prompt(name, **variables)` is a prompt function, for `Agent(prompt=…)` and `run_prompt`.",
        (
            "agents/prompts/test_templates_in_runs.py::test_a_template_is_a_prompt_function_for_an_agent",
            "agents/prompts/test_templates_in_runs.py::test_a_template_is_run_by_itself",
        ),
    ),
    (
        "Within one's own function, `prompt.template(folder.template(name), **variables)` does the",
        ("agents/prompts/test_templates_in_runs.py::test_a_prompt_function_uses_templates_among_other_things",),
    ),
    (
        "**Variables** are declared; each is used, and each that is used is declared.",
        (
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
        ),
    ),
    (
        "One without a `default` must be given.",
        (
            "agents/prompts/test_template_folders.py::test_wrong_variables_are_named_without_their_values",
            "agents/prompts/test_template_versions.py::test_a_prompt_needs_what_any_version_that_may_be_chosen_needs",
        ),
    ),
    (
        "`type` is one of `str`, `int`, `float`, `bool`, `list`, `dict`, or left out: any value.",
        (
            "agents/prompts/test_template_folders.py::test_a_type_is_kept_to",
            "agents/prompts/test_template_folders.py::test_values_are_written_as_they_are_and_never_taken_for_templates",
        ),
    ),
    (
        "Values are written as they are, once: what looks like a template in them stays what it is.",
        ("agents/prompts/test_template_folders.py::test_values_are_written_as_they_are_and_never_taken_for_templates",),
    ),
    (
        "Nothing is escaped, and `${NAME}` is left alone.",
        (
            "agents/prompts/test_template_folders.py::test_environment_variables_are_not_looked_up",
            "agents/prompts/test_template_folders.py::test_values_are_written_as_they_are_and_never_taken_for_templates",
        ),
    ),
    (
        "**The language** is jinja2 in its immutable sandbox: private attributes, methods that",
        (
            "agents/prompts/test_template_folders.py::test_what_goes_wrong_in_a_render_is_named_with_its_line_and_without_values",
        ),
    ),
    (
        "A tag alone on its line leaves no line.",
        ("agents/prompts/test_template_folders.py::test_a_file_is_a_template_by_its_dotted_name",),
    ),
    (
        "`include` and `import` find files of the same folder that end in `.jinja`, by their path:",
        (
            "agents/prompts/test_template_folders.py::test_pieces_and_macros_come_from_the_folder",
            "agents/prompts/test_template_folders.py::test_what_a_piece_sets_may_be_imported_from_it",
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
        ),
    ),
    (
        "`tojson` writes JSON for models, not for HTML.",
        ("agents/prompts/test_template_folders.py::test_json_is_written_as_it_is",),
    ),
    (
        "Left out are `extends`, `block`, `autoescape`, and the filters `pprint`, `random`,",
        (
            "agents/prompts/test_template_folders.py::test_filters_that_are_not_for_prompts_are_left_out",
            "agents/prompts/test_template_folders.py::test_templates_do_not_inherit",
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
        ),
    ),
    (
        "Other files in the folder are passed over, as is what begins with a dot.",
        ("agents/prompts/test_template_folders.py::test_other_files_and_what_begins_with_a_dot_are_passed_over",),
    ),
    (
        "**What is wrong is found when the folder is loaded**: a `TemplateError` names the file and the line.",
        (
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
            "agents/prompts/test_template_folders.py::test_files_that_do_not_fit_each_other_are_named",
        ),
    ),
    (
        "YAML and jinja2 that cannot be read, unknown fields, wrong types, undeclared and unused",
        (
            "agents/prompts/test_template_folders.py::test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded",
            "agents/prompts/test_template_folders.py::test_files_that_do_not_fit_each_other_are_named",
            "agents/prompts/test_template_folders.py::test_no_link_leads_out_of_the_folder",
        ),
    ),
    (
        "In texts under `|` the line is exact, in others it is the one where the text begins.",
        (
            "agents/prompts/test_template_folders.py::test_wherever_something_is_wrong_its_line_is_named",
            "agents/prompts/test_template_folders.py::test_in_a_text_that_is_folded_the_line_is_the_one_where_it_begins",
        ),
    ),
    (
        "What can only be found in use (a missing variable, an attribute that is not there, an",
        (
            "agents/prompts/test_template_folders.py::test_what_goes_wrong_in_a_render_is_named_with_its_line_and_without_values",
            "agents/prompts/test_template_folders.py::test_the_line_in_a_piece_is_named",
            "agents/prompts/test_templates_in_runs.py::test_a_template_that_cannot_be_rendered_ends_the_run_by_name_and_without_values",
        ),
    ),
    (
        "No error shows a value.",
        (
            "agents/prompts/test_template_folders.py::test_what_goes_wrong_in_a_render_is_named_with_its_line_and_without_values",
            "agents/prompts/test_template_folders.py::test_wrong_variables_are_named_without_their_values",
            "agents/prompts/test_template_folders.py::test_nothing_of_a_prompt_stands_in_what_is_shown_of_it",
        ),
    ),
    (
        "**A render is bounded**, by counting and not by time: 100,000 rounds of loops and macros,",
        (
            "agents/prompts/test_template_folders.py::test_a_template_that_would_go_on_for_ever_or_fill_the_memory_is_stopped",
            "agents/prompts/test_template_folders.py::test_a_range_beyond_the_bound_is_named_by_it",
            "agents/prompts/test_template_folders.py::test_a_range_of_as_many_items_as_a_list_may_have_is_one",
            "agents/prompts/test_template_folders.py::test_a_long_document_is_rendered",
        ),
    ),
    (
        "What would go on for ever, or fill the memory, is a `TemplateError`.",
        (
            "agents/prompts/test_template_folders.py::test_a_template_that_would_go_on_for_ever_or_fill_the_memory_is_stopped",
            "agents/prompts/test_template_folders.py::test_pieces_within_pieces_are_bounded",
        ),
    ),
    (
        "**Versions** stand side by side in files of their own: `triage@1.yaml` and",
        ("agents/prompts/test_template_versions.py::test_a_file_says_its_version_by_its_name_or_in_itself",),
    ),
    (
        "One file is one version, which it must say; a file whose name says the version need not say it",
        (
            "agents/prompts/test_template_versions.py::test_a_file_says_its_version_by_its_name_or_in_itself",
            "agents/prompts/test_template_folders.py::test_files_that_do_not_fit_each_other_are_named",
        ),
    ),
    (
        "Where there are several, each says its `weight:` and gets that share of the",
        (
            "agents/prompts/test_template_versions.py::test_versions_are_chosen_as_their_weights_say",
            "agents/prompts/test_template_versions.py::test_a_version_can_be_asked_for_by_hand_also_one_that_is_never_chosen",
            "agents/prompts/test_template_folders.py::test_files_that_do_not_fit_each_other_are_named",
        ),
    ),
    (
        "The choice follows from the conversation's id, the template's name and the weights: a",
        (
            "agents/prompts/test_template_versions.py::test_each_conversation_keeps_its_version",
            "agents/prompts/test_template_versions.py::test_templates_are_chosen_independently",
        ),
    ),
    (
        "When a weight grows, only conversations that change to it change.",
        ("agents/prompts/test_template_versions.py::test_a_heavier_weight_only_wins_conversations",),
    ),
    (
        'By hand: `folder.template("support.triage@2")`.',
        (
            "agents/prompts/test_template_versions.py::test_a_version_can_be_asked_for_by_hand_also_one_that_is_never_chosen",
        ),
    ),
    (
        "Which version it was stands in the answer's `notes` (`template support.triage@2`), in the",
        (
            "agents/prompts/test_templates_in_runs.py::test_a_template_is_a_prompt_function_for_an_agent",
            "agents/prompts/test_templates_in_runs.py::test_the_version_stands_in_the_events_and_in_the_journal",
        ),
    ),
    (
        "**Reload.** `TemplateFolder(path, reload=True)`, for development, looks before each step",
        (
            "agents/prompts/test_template_versions.py::test_a_changed_file_is_read_anew_where_that_is_asked_for",
            "agents/prompts/test_templates_in_runs.py::test_a_change_of_the_folder_counts_from_the_next_step_on",
        ),
    ),
    (
        "A change with something wrong keeps all templates as they were and is logged once as a",
        (
            "agents/prompts/test_template_versions.py::test_a_broken_change_keeps_what_there_was_and_says_so_once",
            "agents/prompts/test_template_versions.py::test_a_folder_that_goes_away_keeps_what_there_was",
        ),
    ),
    (
        "No render sees half a change, from whatever thread.",
        ("agents/prompts/test_template_versions.py::test_threads_never_see_half_a_change",),
    ),
    (
        "Runs as it stands: [`template_folder.py`](../../../tests/examples/template_folder.py).",
        ("examples/test_examples.py::test_an_example_prints_what_it_says",),
    ),
    (
        '`instructions_for("reviewer", model, "roles")` is the text of `roles/reviewer.claude.md`',
        (
            "agents/prompts/test_agents_md.py::test_a_role_may_be_told_something_else_for_each_family_of_models",
            "agents/prompts/test_agents_md.py::test_what_a_folder_does_not_have_comes_from_the_librarys_own_roles",
        ),
    ),
    (
        '`create_agent("reviewer", model=…, prompts="roles")` makes an agent of it.',
        ("agents/prompts/test_agents_md.py::test_an_agent_of_a_role_is_told_what_the_folder_says_for_its_model",),
    ),
    (
        "Families: `claude`, `gpt`, `gemini`, `llama`, `mistral`, `qwen`, `deepseek`, `grok`,",
        ("agents/prompts/test_agents_md.py::test_a_family_is_found_in_a_models_name_wherever_it_is_hosted",),
    ),
    (
        '`agents_md("src/payments", root=".")` is what the `AGENTS.md` files from the root down to',
        (
            "agents/prompts/test_agents_md.py::test_nested_files_stand_from_the_outermost_to_the_nearest",
            "agents/prompts/test_agents_md.py::test_without_any_file_there_is_nothing_to_say",
        ),
    ),
    (
        'They are read when it is called, and never by themselves: `Agent("Coder", agents_md(folder, root))`.',
        ("agents/prompts/test_agents_md.py::test_agents_md_is_read_when_it_is_called_and_never_by_itself",),
    ),
    (
        "Nothing outside of the root is read, no link leads out of it, and all files together have",
        (
            "agents/prompts/test_agents_md.py::test_nothing_outside_of_the_root_is_read",
            "agents/prompts/test_agents_md.py::test_all_files_together_are_bounded",
            "agents/prompts/test_agents_md.py::test_what_cannot_be_read_is_named",
        ),
    ),
)
