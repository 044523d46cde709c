"""Commands on the versions of a root of training runs: ``versions …``, and ``manage_models.py`` alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mm_core import versions
from mm_core.cli.output import print_json, print_text
from mm_core.cli.session import FAILED, USAGE, AsJson, Session, Yes, errors_as_sentences, print_error
from mm_core.cli.version_texts import (
    listing,
    plan_document,
    plan_lines,
    removed_document,
    removed_lines,
    run_document,
    shown,
    size_text,
)
from mm_core.domain.runs import LATEST
from mm_core.errors import BadRequest, RunNotFound


def _directory(text: str | Path) -> Path:
    """Return a path; the empty text, which a shell variable without a value leaves, is not this directory."""
    if not str(text):
        raise typer.BadParameter("it is empty. Name the directory; '.' is this one.")
    return Path(text)


DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")]
Root = Annotated[
    Path, typer.Option("--root", parser=_directory, metavar="DIRECTORY", help="The directory that holds the versions.")
]
Directory = Annotated[Path, typer.Argument(parser=_directory, metavar="DIRECTORY")]
MODELS = Path("models")

versions_commands = typer.Typer(
    help="List, show, publish and tidy training runs below a root.", no_args_is_help=True, add_completion=False
)


def manage_models() -> None:
    """Run the commands on versions by themselves."""
    versions_commands(prog_name="python manage_models.py", obj=Session(None))


def init_root(directory: Directory, as_json: AsJson = False) -> None:
    """Make DIRECTORY a managed root: versions may be published into it, and removed from it."""
    with _answered(as_json):
        path = versions.init(directory)
    if as_json:
        print_json({"root": str(path), "managed": True})
    else:
        print_text(f"'{path}' is a managed root.")


versions_commands.command("init")(init_root)


@versions_commands.command("list")
def list_all(root: Root = MODELS, as_json: AsJson = False) -> None:
    """List all versions, newest first."""
    with _answered(as_json):
        runs, latest = versions.list_versions(root), versions.current_version(root)
    if as_json:
        items = [run_document(run) for run in runs]
        print_json({"items": items, "current_version": latest.version, "problem": latest.problem})
    else:
        print_text(listing(runs, latest))


@versions_commands.command()
def show(version: str, root: Root = MODELS, as_json: AsJson = False) -> None:
    """Show one version, or the latest: models, metrics, weights, findings."""
    with _answered(as_json):
        run = versions.show_version(root, version)
    if as_json:
        print_json(run_document(run))
    else:
        print_text(shown(run))


@versions_commands.command()
def load(version: Annotated[str, typer.Argument()] = LATEST, root: Root = MODELS, as_json: AsJson = False) -> None:
    """Tell which models of a version are there, in which format; none of them is opened."""
    with _answered(as_json):
        run = versions.load_version(root, version)
    if as_json:
        print_json({**run_document(run), "current_version": run.version})
        return
    names = run.available_models
    print_text(f"Successfully loaded {len(names)} models: {', '.join(names)}")
    print_text(f"Current version: {run.version}")
    if run.missing_models:
        expected = len(names) + len(run.missing_models)
        print_text(f"{len(names)} of {expected} models are present, missing: {', '.join(run.missing_models)}")
    for file in run.files:
        print_text(f"  {file.name}: {file.format}, {size_text(file.size_bytes)}")
    for finding in run.findings:
        print_text(f"{finding.severity}: {finding.sentence}")


@versions_commands.command()
def delete(
    context: typer.Context,
    version: str,
    root: Root = MODELS,
    move_latest: Annotated[bool, typer.Option("--move-latest", help="Move latest off it to the newest other.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete one version, after asking."""
    with _answered(as_json):
        plan = versions.plan_delete(root, version, _kept_by_registry(context, root), next_latest=move_latest)
        _warn_of_an_empty_registry(context.obj)
        _carry_out(context, plan, f"Are you sure you want to delete version {version}?", yes, dry_run, as_json)


@versions_commands.command()
def cleanup(
    context: typer.Context,
    root: Root = MODELS,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest versions stay.")] = 5,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete all but the newest versions and the protected ones, after asking."""
    with _answered(as_json):
        plan = versions.plan_cleanup(root, keep, _kept_by_registry(context, root))
        if not (plan.removals or plan.protected or plan.leftovers or as_json):
            print_text(f"Only {len(plan.kept)} versions found, nothing to clean up.")
            return
        _warn_of_an_empty_registry(context.obj)
        what = f"{len(plan.removals)} versions" + (" and what is left over" if plan.leftovers else "")
        _carry_out(context, plan, f"Are you sure you want to delete {what}?", yes, dry_run, as_json)


@versions_commands.command()
def publish(source: Directory, root: Root = MODELS, as_json: AsJson = False) -> None:
    """Publish a copy of the directory SOURCE as the latest version."""
    with _answered(as_json):
        version = versions.publish_directory(root, source)
        run = versions.show_version(root, version)
    if as_json:
        print_json(run_document(run))
    else:
        print_text(f"Version {version} is published: {len(run.files)} models, {size_text(run.size_bytes)}.")


@versions_commands.command("latest")
def latest_version(
    version: Annotated[str | None, typer.Argument()] = None, root: Root = MODELS, as_json: AsJson = False
) -> None:
    """Tell which version is the latest, or make VERSION the latest."""
    with _answered(as_json):
        if version is not None:
            versions.move_latest(root, version)
        found = versions.current_version(root)
        if found.version is None:
            raise RunNotFound("No model versions found.", "Publish one.")
    if as_json:
        print_json({"current_version": found.version, "source": found.source, "problem": found.problem})
    else:
        print_text(f"Current version (latest): {found.version}")
        if found.problem is not None:
            print_text(f"warning: {found.problem}")


@versions_commands.command()
def pin(
    version: str,
    root: Root = MODELS,
    note: Annotated[str, typer.Option(help="Why; shown wherever it stays.")] = "",
    as_json: AsJson = False,
) -> None:
    """Protect a version from delete and cleanup."""
    with _answered(as_json):
        versions.pin(root, version, note)
    _print_pin(version, True, as_json)


@versions_commands.command()
def unpin(version: str, root: Root = MODELS, as_json: AsJson = False) -> None:
    """Let a version go again."""
    with _answered(as_json):
        versions.unpin(root, version)
    _print_pin(version, False, as_json)


def _print_pin(version: str, is_pinned: bool, as_json: bool) -> None:
    if as_json:
        print_json({"version": version, "pinned": is_pinned})
    else:
        print_text(f"Version {version} is {'pinned' if is_pinned else 'not pinned any more'}.")


def _kept_by_registry(context: typer.Context, root: Path) -> versions.Protect:
    """Say why a version must stay that is deployed, a shadow or pinned; the state is looked at each time."""
    lifecycle = context.obj.registry.lifecycle
    return lambda version: lifecycle.reason_to_keep(root / version)


def _warn_of_an_empty_registry(session: Session) -> None:
    """Say on standard error where a registry is that protects nothing: it may be another one than is meant."""
    if not session.registry.view().revision:
        typer.echo(
            f"warning: The registry below '{session.settings.data_dir.absolute()}' is empty, so it protects no "
            "version. If there is another one, name it with MODEL_MANAGER_DATA_DIR.",
            err=True,
        )


def _carry_out(
    context: typer.Context, plan: versions.RemovalPlan, question: str, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Show a plan, ask, and do it; what stays although it was planned ends with 1."""
    if not as_json:
        print_text("\n".join(plan_lines(plan)))
    elif dry_run:
        print_json(plan_document(plan))
    if dry_run or not (plan.removals or plan.leftovers):
        if as_json and not dry_run:
            print_json({**plan_document(plan), **removed_document(versions.execute(plan))})
        return
    if not yes:
        typer.confirm(f"{question} (y/N)", default=False, show_default=False, abort=True, err=True)
    removed = versions.execute(plan, context.obj.registry.lifecycle.settled)
    if as_json:
        print_json({**plan_document(plan), **removed_document(removed)})
    else:
        print_text("\n".join(removed_lines(removed)))
    if removed.stayed or removed.in_trash:
        raise typer.Exit(FAILED)


@contextmanager
def _answered(as_json: bool) -> Iterator[None]:
    """Print errors as the other commands do, but for the sentence of a version that is not there, which has no mark."""
    with errors_as_sentences(as_json):
        try:
            yield
        except RunNotFound as error:
            print_error(error, f"{error.sentence}\n{error.remedy}", as_json)
            raise typer.Exit(FAILED) from error
        except BadRequest as error:
            if type(error) is not BadRequest:
                raise
            print_error(error, f"error: {error.detail}", as_json)
            raise typer.Exit(USAGE) from error
