"""Commands on what is registered of versions: ``lifecycle register|update|list|show|pin|unpin|alias|import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mm_core.cli.lifecycle import Actor, CallerTier, Force, Note, add_moves, author, print_record
from mm_core.cli.output import print_json, print_table, print_text
from mm_core.cli.session import AsJson, errors_as_sentences
from mm_core.domain.lifecycle import ModelType, Objective, Status, Tier
from mm_core.domain.version_records import VersionRecord, parse_update
from mm_core.errors import BadRequest
from mm_core.registry.lifecycle_documents import registered_document, version_document, versions_document
from mm_core.registry.lifecycle_lookups import VersionFilter

OptionalNote = Annotated[str, typer.Option("--note", help="Why; kept in the history.")]
Score = Annotated[float | None, typer.Option(help="At most six decimals are kept.")]
Type = Annotated[ModelType | None, typer.Option("--type", help="Only such algorithms.")]

LARGEST_REGISTRY_FILE = 64 << 20
"""Bytes: what is larger is no model-registry.json."""

lifecycle_commands = typer.Typer(
    help="Register versions of models, promote and retire them, and ask who was deployed when.", no_args_is_help=True
)


@lifecycle_commands.command()
def register(
    context: typer.Context,
    name: str,
    version: str,
    model_type: Annotated[ModelType, typer.Option("--type", help="Algorithm.")],
    objective: Annotated[Objective, typer.Option(help="What it is for.")],
    target: Annotated[str, typer.Option(help="What it predicts, such as price_direction_3d.")],
    horizon: Annotated[str, typer.Option(help="How far ahead, such as 1w.")],
    validation_score: Score = None,
    test_score: Score = None,
    tier: Annotated[Tier, typer.Option(help="Who may see it.")] = Tier.PREMIUM,
    status: Annotated[Status | None, typer.Option(help="Where it begins; training where it is not given.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Set scores and status of one that is there.")] = False,
    force: Force = False,
    note: OptionalNote = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Register VERSION of NAME; its files stay where they are."""
    document = {
        "model_name": name,
        "model_version": version,
        "model_type": model_type,
        "objective": objective,
        "target_variable": target,
        "prediction_horizon": horizon,
        "tier_requirement": tier,
        **_given(validation_score=validation_score, test_score=test_score, status=status),
    }
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        done = lifecycle.register(document, author(actor, note), update=update, force=force)
    if as_json:
        print_json(registered_document(done))
        return
    for warning in done.warnings:
        typer.echo(f"warning: {warning}", err=True)
    print_text(f"{done.record.title} is {'registered' if done.is_new else 'updated'}: id {done.record.model_id}.")
    print_record(done.record, as_json=False)


@lifecycle_commands.command()
def update(
    context: typer.Context,
    name: str,
    version: str,
    validation_score: Score = None,
    test_score: Score = None,
    status: Annotated[Status | None, typer.Option(help="Moves it; needs --note.")] = None,
    force: Force = False,
    note: OptionalNote = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Set scores and status of VERSION; anything else needs another version."""
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        changes = parse_update(_given(validation_score=validation_score, test_score=test_score, status=status))
        record = lifecycle.update(lifecycle.record(name, version), changes, author(actor, note), force=force)
    print_record(record, as_json)


@lifecycle_commands.command("list")
def list_versions(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument()] = None,
    status: Annotated[Status | None, typer.Option(help="Only those that stand there.")] = None,
    model_type: Type = None,
    objective: Annotated[Objective | None, typer.Option(help="Only those for it.")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Only those that require it.")] = None,
    caller_tier: CallerTier = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """List registered versions, the newest first."""
    wanted = VersionFilter(name, status, model_type, objective, tier, caller_tier, limit)
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        records, damaged = lifecycle.list(wanted), lifecycle.damaged()
    for family, detail in damaged.items():
        typer.echo(f"warning: The versions of {family} cannot be listed. {detail}", err=True)
    if as_json:
        print_json(versions_document(records, damaged))
        return
    rows = [
        (
            one.model_name,
            one.model_version,
            one.status,
            one.status.stage,
            one.model_type,
            one.objective,
            one.prediction_horizon,
            one.validation_score,
            one.test_score,
            one.tier_requirement,
            "pinned" if one.pinned else None,
            one.created_at,
        )
        for one in records
    ]
    headers = ["model", "version", "status", "stage", "type", "objective", "horizon", "# validation", "# test", "tier",
               "kept", "registered at"]  # fmt: skip
    print_table("Versions", headers, rows)


@lifecycle_commands.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A model's name, or a version's id.")],
    version: Annotated[str | None, typer.Argument()] = None,
    caller_tier: CallerTier = None,
    as_json: AsJson = False,
) -> None:
    """Show one version by name and version, or by its id alone."""
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        if version is None:
            record: VersionRecord = lifecycle.record_by_id(name, caller_tier)
        else:
            record = lifecycle.record(name, version, caller_tier)
    document = version_document(record)
    if as_json:
        print_json(document)
    else:
        print_table(record.title, ["what", "value"], list(document.items()))


@lifecycle_commands.command()
def pin(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Keep VERSION from every cleanup."""
    _set_pinned(context, name, version, True, note, actor, as_json)


@lifecycle_commands.command()
def unpin(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Let cleanups take VERSION again."""
    _set_pinned(context, name, version, False, note, actor, as_json)


@lifecycle_commands.command()
def alias(
    context: typer.Context,
    name: str,
    other: str,
    remove: Annotated[bool, typer.Option("--remove", help="No longer.")] = False,
    note: OptionalNote = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Let OTHER stand for NAME, as where a directory is called otherwise than the model."""
    with errors_as_sentences(as_json):
        family = context.obj.registry.lifecycle.set_alias(name, other, author(actor, note), remove=remove)
    if as_json:
        print_json({"model_name": family.name, "aliases": family.aliases})
    else:
        print_text(f"{family.name} is also called: {', '.join(family.aliases) or 'nothing else'}.")


@lifecycle_commands.command("import")
def import_registry(
    context: typer.Context,
    name: str,
    file: Annotated[Path, typer.Argument(help="A model-registry.json.")],
    objective: Annotated[Objective, typer.Option(help="What the versions are for.")],
    target: Annotated[str, typer.Option(help="What they predict.")],
    horizon: Annotated[str, typer.Option(help="How far ahead.")],
    model_type: Annotated[ModelType | None, typer.Option("--type", help="Where the file names none.")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Who may see them; premium where it is new and not given.")] = None,
    note: OptionalNote = "",
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Register what FILE has of NAME, and tell what is inconsistent in it."""
    beside = {
        "objective": objective,
        "target_variable": target,
        "prediction_horizon": horizon,
        **_given(model_type=model_type, tier_requirement=tier),
    }
    with errors_as_sentences(as_json):
        done = context.obj.registry.lifecycle.import_file(
            name, _content(file), beside, author(actor, note or f"imported from {file.name}")
        )
    if as_json:
        print_json({**versions_document(done.records, {}), "warnings": done.warnings})
        return
    for warning in done.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for record in done.records:
        print_record(record, as_json=False)


add_moves(lifecycle_commands)


def _set_pinned(
    context: typer.Context, name: str, version: str, pinned: bool, note: str, actor: str | None, as_json: bool
) -> None:
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        record = lifecycle.set_pinned(lifecycle.record(name, version), pinned, author(actor, note))
    if as_json:
        print_json(version_document(record))
    else:
        print_text(f"{record.title} is {'pinned' if record.pinned else 'not pinned'}.")


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            data = content.read(LARGEST_REGISTRY_FILE + 1)
    except OSError as error:
        raise BadRequest(f"'{file}' cannot be read ({error.strerror}). Name a model-registry.json.") from error
    if len(data) > LARGEST_REGISTRY_FILE:
        raise BadRequest(f"'{file}' has more than {LARGEST_REGISTRY_FILE >> 20} MiB. Name a model-registry.json.")
    return data
