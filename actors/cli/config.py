"""``callboard config``: check configuration files, and say what may stand in them."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from .parts.printed import print_json, say

config = App(name="config", help="Check llm.yaml and team files, and print the schema of both.")


@config.command
def check(file: Path, /, *, folder: Path = Path(), import_from: Path | None = None) -> int:
    """Read a file as run and chat do: with its variables, and importing what it names. Nothing is started.

    Args:
        file: a team file, or one with only the sections about models, such as llm.yaml.
        folder: the folder that the team's file tools would be confined to.
        import_from: a folder to look in for the modules that the file names.
    """
    from ...providers.config.llmfile import load_config
    from ..agents.team.toolsets import default_tools
    from ..agents.teamfile import load_team
    from .parts.folders import existing, team_file
    from .parts.team import look_in, says_only_models

    look_in(import_from)
    file = team_file(file)
    if not says_only_models(file):
        agents = load_team(file, default_tools(existing(folder))).agents
        say(f"{file}: a team of {len(agents)}: {', '.join(agents)}")
        return 0
    providers = load_config(file).enabled()
    say(f"{file}: providers: {', '.join(providers) or 'those of the environment'}")
    return 0


@config.command
def schema() -> int:
    """Print the JSON schema of both kinds of file, for editors that check while one writes."""
    from ..agents.teamfile.schema import TeamFile

    described = TeamFile.model_json_schema()
    described.pop("required")  # a file without agents is llm.yaml
    described["title"] = "llm.yaml, or a team file"
    described["description"] = "The sections about models, and those of a team of agents."
    print_json(described)
    return 0
