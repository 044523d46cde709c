"""Commands on mean and variance: ``config get|set|history|restore`` of symbols, ``normalizer …`` of versions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mm_core import strict_json
from mm_core.cli.output import print_json, print_table, print_text
from mm_core.cli.session import AsJson, errors_as_sentences
from mm_core.domain.configs import FILES_DIGEST, FactorConfig, FactorConfigRevision
from mm_core.errors import BadRequest
from mm_core.payloads import factor_config_document
from mm_core.registry import Registry
from mm_core.registry.configs import Configs, CurrentConfig

Expected = Annotated[int | None, typer.Option(help="Refuse when somebody saved another revision meanwhile.")]


Subject = Annotated[str, typer.Argument(metavar="SYMBOL|VERSION", help="A symbol for `config`, else a version.")]

config_commands = typer.Typer(help="Show, set and restore mean and variance of factors.", no_args_is_help=True)
normalizer_commands = typer.Typer(
    help="Show, set and restore mean and variance of a version's features; revision 0 is what its files say.",
    no_args_is_help=True,
)
NORMALIZER = "normalizer"
"""What the second group is called: the commands of both are the same."""

Command = Callable[..., None]


def _command(name: str) -> Callable[[Command], Command]:
    def added(function: Command) -> Command:
        for commands in (config_commands, normalizer_commands):
            commands.command(name)(function)
        return function

    return added


@_command("get")
def get_config(
    context: typer.Context,
    name: str,
    subject: Subject,
    revision: Annotated[int | None, typer.Option(help="What it was at this revision.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show mean and variance of every factor."""
    with errors_as_sentences(as_json):
        configs = _configs(context)
        current = configs.get(name, subject)
        config = current.config if revision is None else configs.at_revision(name, subject, revision)
    if as_json:
        print_json(_config_document(config))
        return
    names, means, variances = config.factor_names, config.mean_values, config.variance_values
    rows = zip(range(len(names)), names, means, variances, strict=True)
    shown = current.record.revision if revision is None else revision
    title = f"{name} {config.subject}, revision {shown}"
    print_table(title, ["# dim", "factor", "# mean", "# variance"], list(rows))


@_command("set")
def set_config(
    context: typer.Context,
    name: str,
    subject: Subject,
    file: Annotated[str, typer.Argument(help="JSON as `get --json` prints it; - reads standard input.")],
    expected_revision: Expected = None,
    note: Annotated[str, typer.Option(help="Why; kept in the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Store mean and variance of every factor; with problems nothing is stored, and all of them are listed."""
    with errors_as_sentences(as_json):
        saved = _configs(context).save(
            name, subject, _document(file), by="cli", note=note, expected_revision=expected_revision
        )
    _print_saved(name, saved, as_json)


@_command("history")
def config_history(context: typer.Context, name: str, subject: Subject, as_json: AsJson = False) -> None:
    """List the revisions, oldest first."""
    with errors_as_sentences(as_json):
        history = _configs(context).history(name, subject)
    if as_json:
        print_json({"items": [_revision_document(revision) for revision in history]})
        return
    rows = [(one.number, one.at, one.by, one.action, _summary(one), one.note) for one in history]
    print_table(f"{name} {subject}", ["# revision", "at", "by", "action", "what", "note"], rows)


@_command("restore")
def restore_config(
    context: typer.Context,
    name: str,
    subject: Subject,
    revision: int,
    expected_revision: Expected = None,
    as_json: AsJson = False,
) -> None:
    """Make what a revision had the current one, as a new revision."""
    with errors_as_sentences(as_json):
        saved = _configs(context).restore(name, subject, revision, by="cli", expected_revision=expected_revision)
    _print_saved(name, saved, as_json)


def _configs(context: typer.Context) -> Configs:
    """Return what is asked for: of symbols, or of versions."""
    registry: Registry = context.obj.registry
    is_of_versions = context.parent is not None and context.parent.info_name == NORMALIZER
    return registry.normalizers if is_of_versions else registry.configs


def _print_saved(name: str, saved: CurrentConfig, as_json: bool) -> None:
    if as_json:
        print_json(_config_document(saved.config))
    else:
        print_text(f"'{saved.config.subject}' of '{name}' is at revision {saved.record.revision}.")


def _config_document(config: FactorConfig) -> dict[str, Any]:
    """Return a config as `set` reads it back; that of a version says what its files said."""
    document = factor_config_document(config)
    if config.defaults.are_in_files:
        document[config.subject][FILES_DIGEST] = config.defaults.digest
    return document


def _document(file: str) -> Any:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadRequest(
            f"'{file}' cannot be read ({error.strerror}). Name a JSON file, or - for standard input."
        ) from error
    try:
        return strict_json.decode(data)
    except strict_json.NotJson as error:
        raise BadRequest(f"'{file}' is not strict JSON ({error}). Write it as `get --json` does.") from error


def _revision_document(revision: FactorConfigRevision) -> dict[str, Any]:
    return {
        "revision": revision.number,
        "at": revision.at,
        "by": revision.by,
        "action": revision.action,
        "note": revision.note,
        "changes": {
            name: {
                "before": change.before._asdict() if change.before is not None else None,
                "after": change.after._asdict() if change.after is not None else None,
            }
            for name, change in revision.changes.items()
        },
        "added": revision.added,
        "dropped": revision.dropped,
    }


def _summary(revision: FactorConfigRevision) -> str:
    parts = [f"{len(revision.changes)} changed"] if revision.changes else []
    parts += [f"{len(revision.added)} factors new"] if revision.added else []
    parts += [f"{len(revision.dropped)} factors gone"] if revision.dropped else []
    return ", ".join(parts)
