"""Commands that look after the state: ``doctor``, ``backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mm_core.cli.output import print_json, print_text
from mm_core.cli.session import FAILED, AsJson, Yes, errors_as_sentences
from mm_core.registry.backups import BackupManifest
from mm_core.registry.housekeeping import Housekeeping, Repaired

NOTHING_REPAIRED = Repaired((), ())


def add_upkeep(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (doctor, backup, restore):
        app.command()(command)


def doctor(
    context: typer.Context,
    clean: Annotated[bool, typer.Option(help="Remove blobs that nothing refers to, after asking.")] = False,
    repair: Annotated[bool, typer.Option(help="Put last good copies back, after asking.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Tell whether store and roots are healthy; the exit code is 1 when something needs a person."""
    with errors_as_sentences(as_json):
        housekeeping = context.obj.registry.housekeeping
        repaired = _repaired(housekeeping, yes=yes) if repair else NOTHING_REPAIRED
        found = housekeeping.diagnose()
        freed = 0
        if clean and not found.store_problems:
            plan = housekeeping.plan_cleanup()
            size = f"{len(plan.orphans)} blobs of {plan.size_bytes:,} bytes"
            if plan.orphans and (yes or typer.confirm(f"Remove {size} that nothing refers to?", err=True)):
                freed = housekeeping.execute(plan)
    problems = [*found.store_problems, *found.root_problems]
    if clean and found.store_problems:
        typer.echo("No blob was removed: mend the store first, as it may name blobs that cannot be told now.", err=True)
    if as_json:
        print_json(
            {
                "healthy": found.healthy,
                "problems": problems,
                "repaired": [
                    {"path": str(done.path), "problem": done.problem, "lost": done.loss} for done in repaired.done
                ],
                "copies_made": repaired.copies_made,
                "not_restored": repaired.failures,
                "notes": found.notes,
                "orphaned_blobs": found.orphaned_blobs,
                "orphaned_bytes": found.orphaned_bytes,
                "freed_bytes": freed,
            }
        )
    else:
        for done in repaired.done:
            print_text(f"Repaired '{done.path}'. Lost: {done.loss}")
        if repaired.copies_made:
            print_text(f"Second copies made: {repaired.copies_made}.")
        for failure in repaired.failures:
            if failure not in problems:
                print_text(failure)
        print_text("\n".join(problems) or "Store and roots are healthy.")
        for note in found.notes:
            print_text(note)
        print_text(f"{found.orphaned_blobs} orphaned blobs of {found.orphaned_bytes:,} bytes; {freed:,} bytes freed.")
    if not found.healthy:
        raise typer.Exit(FAILED)


def backup(
    context: typer.Context,
    file: Path,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write registrations, factor configs and scans into FILE, also while they are in use."""
    with errors_as_sentences(as_json):
        manifest = context.obj.registry.backups.create(file.absolute(), replace=force)
    if as_json:
        print_json({"file": str(file.absolute()), **_manifest_document(manifest)})
    else:
        print_text(f"'{file}' holds revision {manifest.revision}: {len(manifest.files)} files.")


def restore(
    context: typer.Context,
    file: Path,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the backup and change nothing.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make the backup in FILE the state; what was there is kept. Servers may run meanwhile."""
    path = file.absolute()
    with errors_as_sentences(as_json):
        backups = context.obj.registry.backups
        manifest = backups.check(path)
        if not dry_run:
            question = f"Replace the state by revision {manifest.revision} of {manifest.created_at}?"
            if not yes:
                typer.confirm(question, abort=True, err=True)
            restored = backups.restore(path)
    document: dict[str, Any] = {"file": str(path), "restored": not dry_run, **_manifest_document(manifest)}
    if not dry_run:
        kept = str(restored.kept) if restored.kept is not None else None
        document |= {"revision_before": restored.before, "revision_now": restored.revision, "kept": kept}
    if as_json:
        print_json(document)
    elif dry_run:
        print_text(
            f"'{file}' is whole: revision {manifest.revision} of {manifest.created_at}, {len(manifest.files)} files. "
            "Nothing was changed."
        )
    else:
        print_text(f"Revision {manifest.revision} of '{file}' is the state now, as revision {restored.revision}.")
        if restored.kept is not None:
            print_text(f"What was there is kept: '{restored.kept}'.")


def _repaired(housekeeping: Housekeeping, *, yes: bool) -> Repaired:
    plan = housekeeping.plan_repairs()
    possible = [repair for repair in plan if repair.can_be_made]
    for repair in plan:
        if not repair.can_be_made:
            typer.echo(f"'{repair.path}' stays as it is. {repair.loss}", err=True)
    if possible and not yes:
        listed = "\n".join(f"{repair.problem}\n  Lost by the repair: {repair.loss}" for repair in possible)
        typer.echo(listed, err=True)
        if not typer.confirm(f"Set {len(possible)} files aside and put good ones in their places?", err=True):
            return NOTHING_REPAIRED
    return housekeeping.repair(plan)


def _manifest_document(manifest: BackupManifest) -> dict[str, Any]:
    return {
        "format": manifest.format,
        "version": manifest.version,
        "created_at": manifest.created_at,
        "revision": manifest.revision,
        "files": len(manifest.files),
        "size_bytes": manifest.size_bytes,
    }
