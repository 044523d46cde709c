"""Commands on factor configs: ``config get|set|history|restore``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mm_core import strict_json
from mm_core.cli.output import print_json, print_table, print_text
from mm_core.cli.session import AsJson, errors_as_sentences
from mm_core.domain.configs import FactorConfigRevision
from mm_core.errors import BadRequest
from mm_core.payloads import factor_config_document
from mm_core.registry.configs import CurrentConfig

Expected = Annotated[int | None, typer.Option(help="Refuse when somebody saved another revision meanwhile.")]

config_commands = typer.Typer(help="Show, set and restore mean and variance of factors.", no_args_is_help=True)


@config_commands.command("get")
def get_config(
    context: typer.Context,
    name: str,
    symbol: str,
    revision: Annotated[int | None, typer.Option(help="What it was at this revision.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a symbol's factor config."""
    with errors_as_sentences(as_json):
        configs = context.obj.registry.configs
        current = configs.get(name, symbol)
        config = current.config if revision is None else configs.at_revision(name, symbol, revision)
    if as_json:
        print_json(factor_config_document(config))
        return
    rows = zip(
        range(len(config.factor_names)), config.factor_names, config.mean_values, config.variance_values, strict=True
    )
    shown = current.record.revision if revision is None else revision
    print_table(f"{name} {config.symbol}, revision {shown}", ["# dim", "factor", "# mean", "# variance"], list(rows))


@config_commands.command("set")
def set_config(
    context: typer.Context,
    name: str,
    symbol: str,
    file: Annotated[str, typer.Argument(help="JSON as `config get --json` prints it; - reads standard input.")],
    expected_revision: Expected = None,
    note: Annotated[str, typer.Option(help="Why; kept in the history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Store a factor config; one with problems is refused, and all of them are listed."""
    with errors_as_sentences(as_json):
        saved = context.obj.registry.configs.save(
            name, symbol, _document(file), by="cli", note=note, expected_revision=expected_revision
        )
    _print_saved(name, saved, as_json)


@config_commands.command("history")
def config_history(context: typer.Context, name: str, symbol: str, as_json: AsJson = False) -> None:
    """List the revisions of a symbol's factor config, oldest first."""
    with errors_as_sentences(as_json):
        history = context.obj.registry.configs.history(name, symbol)
    if as_json:
        print_json({"items": [_revision_document(revision) for revision in history]})
        return
    rows = [(one.number, one.at, one.by, one.action, _summary(one), one.note) for one in history]
    print_table(f"{name} {symbol}", ["# revision", "at", "by", "action", "what", "note"], rows)


@config_commands.command("restore")
def restore_config(
    context: typer.Context,
    name: str,
    symbol: str,
    revision: int,
    expected_revision: Expected = None,
    as_json: AsJson = False,
) -> None:
    """Make what a revision had the current config, as a new revision."""
    with errors_as_sentences(as_json):
        saved = context.obj.registry.configs.restore(
            name, symbol, revision, by="cli", expected_revision=expected_revision
        )
    _print_saved(name, saved, as_json)


def _print_saved(name: str, saved: CurrentConfig, as_json: bool) -> None:
    if as_json:
        print_json(factor_config_document(saved.config))
    else:
        print_text(f"'{saved.config.symbol}' of '{name}' is at revision {saved.record.revision}.")


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
        raise BadRequest(f"'{file}' is not strict JSON ({error}). Write it as `config get --json` does.") from error


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
