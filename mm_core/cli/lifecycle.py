"""Commands on where versions stand: ``lifecycle validate|deploy|shadow|deprecate|restore|ab-test|deployed|history``."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from mm_core.cli.output import print_json, print_table, print_text
from mm_core.cli.session import AsJson, errors_as_sentences
from mm_core.domain.deployments import deployments
from mm_core.domain.lifecycle import Status, Tier
from mm_core.domain.version_records import VersionRecord
from mm_core.registry.lifecycle import Lifecycle
from mm_core.registry.lifecycle_changes import Author
from mm_core.registry.lifecycle_documents import (
    ab_test_document,
    deployed_at_document,
    deployed_document,
    history_document,
    version_document,
)
from mm_core.registry.lifecycle_lookups import parse_moment

Note = Annotated[str, typer.Option(help="Why; kept in the history.")]
Actor = Annotated[str | None, typer.Option(help="Who, instead of the user of this shell.")]
Force = Annotated[bool, typer.Option("--force", help="Also where the version cannot predict.")]
CallerTier = Annotated[Tier | None, typer.Option(help="Show what such a caller sees.")]


def author(actor: str | None, note: str) -> Author:
    """Return who runs a command, by login name where nobody is named, and why."""
    if actor is None:
        with suppress(OSError, KeyError):
            actor = getpass.getuser()
    return Author(actor or "cli", note)


def add_moves(commands: typer.Typer) -> None:
    """Add these commands to a group."""
    for command in (validate, deploy, shadow, deprecate, restore, deployed, history):
        commands.command()(command)
    commands.command("ab-test")(ab_test)
    commands.command("ab-tests")(ab_tests)


def validate(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Note that training of VERSION is over and its figures were looked at."""
    _change(context, as_json, lambda one: one.move(one.record(name, version), Status.VALIDATED, author(actor, note)))


def deploy(
    context: typer.Context,
    name: str,
    version: str,
    note: Note,
    demote_to: Annotated[
        Status, typer.Option(help="What becomes of the version that was deployed: shadow or deprecated.")
    ] = Status.SHADOW,
    force: Force = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Let VERSION count; the version that was deployed makes room in the same step."""

    def change(lifecycle: Lifecycle) -> VersionRecord:
        record = lifecycle.record(name, version)
        return lifecycle.move(record, Status.DEPLOYED, author(actor, note), demote_to=demote_to, force=force)

    _change(context, as_json, change)


def shadow(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Let VERSION run without counting."""
    _change(context, as_json, lambda one: one.move(one.record(name, version), Status.SHADOW, author(actor, note)))


def deprecate(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Put VERSION out of use."""
    _change(context, as_json, lambda one: one.move(one.record(name, version), Status.DEPRECATED, author(actor, note)))


def restore(
    context: typer.Context, name: str, version: str, note: Note, actor: Actor = None, as_json: AsJson = False
) -> None:
    """Make a deprecated VERSION validated again."""
    _change(context, as_json, lambda one: one.restore(one.record(name, version), author(actor, note)))


def ab_test(
    context: typer.Context,
    name: str,
    champion: str,
    challenger: str,
    note: Note,
    force: Force = False,
    actor: Actor = None,
    as_json: AsJson = False,
) -> None:
    """Deploy CHAMPION and run CHALLENGER as its shadow, in one step."""
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        test = lifecycle.enable_ab_test(name, champion, challenger, author(actor, note), force=force)
    if as_json:
        print_json(ab_test_document(test))
    else:
        beside = ", ".join(one.model_version for one in test.challengers)
        run = "runs" if len(test.challengers) == 1 else "run"
        print_text(f"{test.champion.title} is deployed; {beside} {run} beside it.")


def ab_tests(
    context: typer.Context, name: Annotated[str | None, typer.Argument()] = None, as_json: AsJson = False
) -> None:
    """List what is deployed beside at least one shadow, of NAME or of all."""
    with errors_as_sentences(as_json):
        tests = context.obj.registry.lifecycle.ab_tests(name)
    if as_json:
        print_json({"items": [ab_test_document(test) for test in tests]})
        return
    rows = [
        (
            test.champion.model_name,
            test.champion.model_version,
            ", ".join(one.model_version for one in test.challengers),
        )
        for test in tests
    ]
    print_table("Champions and challengers", ["model", "champion", "challengers"], rows)


def deployed(
    context: typer.Context,
    name: str,
    at: Annotated[str | None, typer.Option(help="At this moment, such as 2026-04-03T14:30:00Z.")] = None,
    caller_tier: CallerTier = None,
    as_json: AsJson = False,
) -> None:
    """Show which version of NAME is deployed, or was, since when, by whom and why."""
    with errors_as_sentences(as_json):
        lifecycle = context.obj.registry.lifecycle
        if at is None:
            now = lifecycle.deployed(name, caller_tier)
            document, version, deployment = deployed_document(now), now.record.model_version, now.deployment
        else:
            then = lifecycle.deployed_at(name, parse_moment(at), caller_tier)
            document = deployed_at_document(name, at, then)
            version, deployment = (then.record.model_version, then.deployment) if then is not None else (None, None)
    if as_json:
        print_json(document)
    elif version is None or deployment is None:
        print_text(f"Nothing of {name} was deployed at {at}.")
    else:
        ended = f", until {deployment.until} by {deployment.ended_by}" if deployment.until is not None else ""
        print_text(f"{name} {version}: deployed since {deployment.since} by {deployment.by} ({deployment.why}){ended}.")


def history(context: typer.Context, name: str, caller_tier: CallerTier = None, as_json: AsJson = False) -> None:
    """List what happened to the versions of NAME, oldest first, and which one was deployed when."""
    with errors_as_sentences(as_json):
        events = context.obj.registry.lifecycle.history(name, caller_tier)
    if as_json:
        print_json(history_document(name, events))
        return
    rows = [
        (
            number,
            one.at,
            one.actor,
            one.action,
            one.version or None,
            f"{one.before or '-'} → {one.after}" if one.after is not None else ", ".join(one.changes),
            one.note,
        )
        for number, one in enumerate(events, 1)
    ]
    print_table(f"Events of {name}", ["# event", "at", "by", "action", "version", "what", "why"], rows)
    times = [(one.version, one.since, one.by, one.until, one.ended_by) for one in deployments(events)]
    print_table("Deployed", ["version", "since", "by", "until", "ended by"], times)


def _change(context: typer.Context, as_json: bool, change: Callable[[Lifecycle], VersionRecord]) -> None:
    with errors_as_sentences(as_json):
        record = change(context.obj.registry.lifecycle)
    print_record(record, as_json)


def print_record(record: VersionRecord, as_json: bool) -> None:
    """Print where a version stands."""
    if as_json:
        print_json(version_document(record))
    else:
        print_text(f"{record.title} is {record.status} ({record.status.stage}).")
