"""Commands on registered models and on the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mm_core.cli.checking import check
from mm_core.cli.configs import NORMALIZER, config_commands, normalizer_commands
from mm_core.cli.output import print_findings, print_json, print_table, print_text, shown_progress
from mm_core.cli.session import AsJson, Session, Yes, errors_as_sentences
from mm_core.cli.upkeep import add_upkeep
from mm_core.cli.verifying import verify
from mm_core.cli.version_records import lifecycle_commands
from mm_core.cli.versions import init_root, versions_commands
from mm_core.domain.groups import Group, Scan
from mm_core.domain.models import RegisteredModel
from mm_core.registry.documents import (
    factors_document,
    group_document,
    model_item,
    registration_document,
    symbols_document,
)
from mm_core.registry.lookups import listed_models
from mm_core.settings import TABLE

app = typer.Typer(
    help="Model Manager: from a directory of trained models to the bots that trade on them.",
    epilog="Settings are environment variables: python -m mm_core settings lists them.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(config_commands, name="config")
app.add_typer(normalizer_commands, name=NORMALIZER)
app.add_typer(versions_commands, name="versions")
app.add_typer(lifecycle_commands, name="lifecycle")
app.command()(check)
app.command()(verify)
app.command("init")(init_root)
add_upkeep(app)


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m mm_core")


@app.callback()
def start(
    context: typer.Context,
    data_dir: Annotated[Path | None, typer.Option(help="State, instead of MODEL_MANAGER_DATA_DIR.")] = None,
) -> None:
    """Keep the options that stand before a command."""
    context.obj = Session(data_dir)


@app.command()
def register(context: typer.Context, name: str, directory: Path, as_json: AsJson = False) -> None:
    """Scan DIRECTORY and register it as NAME."""
    with errors_as_sentences(as_json), shown_progress("reading models") as progress:
        done = context.obj.registry.registrations.register(name, str(directory.absolute()), progress)
    _print_registration(done.model, done.scan, as_json)


@app.command()
def refresh(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Look at a registered directory again."""
    with errors_as_sentences(as_json), shown_progress("reading models") as progress:
        done = context.obj.registry.registrations.refresh(name, progress)
    _print_registration(done.model, done.scan, as_json)


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """List registered models."""
    with errors_as_sentences(as_json):
        view = context.obj.registry.view()
        items = [model_item(*listed) for listed in listed_models(view)]
    if as_json:
        print_json({"items": items})
        return
    rows = [
        (item["model_name"], item["symbol_count"], item["group_count"], item["version_count"], len(item["warnings"]),
         item["scanned_at"], item["root_path"])
        for item in items
    ]  # fmt: skip
    print_table("Models", ["model", "# symbols", "# groups", "# versions", "# warnings", "scanned at", "root"], rows)


@app.command()
def show(
    context: typer.Context,
    name: str,
    symbol: Annotated[str | None, typer.Argument()] = None,
    group_key: Annotated[str | None, typer.Option(help="One of the symbol's groups.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model, or one SYMBOL of it with its factors and findings."""
    with errors_as_sentences(as_json):
        registry = context.obj.registry
        if symbol is None:
            model, scan = registry.model(name)
            document = model_item(model, scan)
        else:
            model, scan, group = registry.group(name, symbol, group_key)
            document = group_document(model, scan, group)
            config = registry.configs.get(name, symbol, group_key).config
    if as_json:
        print_json(document)
    elif symbol is None:
        _print_registration(model, scan, as_json=False)
    else:
        _print_group(group)
        rows = zip(
            range(len(group.factors)), group.factors.names, group.factors.taus, config.mean_values,
            config.variance_values, strict=True,
        )  # fmt: skip
        print_table("Factors", ["# dim", "factor", "# Kendall tau", "# mean", "# variance"], list(rows))
        print_findings(group.findings)


@app.command()
def symbols(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """List the groups of a model."""
    with errors_as_sentences(as_json):
        _, scan = context.obj.registry.model(name)
    document = symbols_document(scan)
    if as_json:
        print_json(document)
        return
    keys = ("symbol", "group_key", "return_name", "feature_dim", "factor_count", "payload_ready", "train_end_date")
    headers = ["symbol", "group key", "return", "# features", "# factors", "payload", "trained until", "# warnings"]
    rows = [[*(item[key] for key in keys), len(item["warnings"])] for item in document["items"]]
    for row in rows:
        row[5] = "ready" if row[5] else "missing"
    print_table(f"Groups of {name}", headers, rows)


@app.command()
def factors(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """List the factors of all groups of a model, each once."""
    with errors_as_sentences(as_json):
        document = factors_document(*context.obj.registry.model(name))
    if as_json:
        print_json(document)
    else:
        print_text("\n".join(document["factors"]))


@app.command()
def delete(context: typer.Context, name: str, yes: Yes = False, as_json: AsJson = False) -> None:
    """Forget a registration and its factor configs; artifacts and what was set for versions stay."""
    if not yes:
        typer.confirm(
            f"Forget model '{name}' and its factor configs? Artifacts and normalizers stay.",
            abort=True,
            err=True,
        )
    with errors_as_sentences(as_json):
        context.obj.registry.registrations.delete(name)
    if as_json:
        print_json({"ok": True, "model_name": name, "deleted": True})
    else:
        print_text(f"Model '{name}' is forgotten.")


@app.command()
def serve(context: typer.Context) -> None:
    """Run the payload server until SIGTERM."""
    from mm_core.api.server import serve as run_server

    with errors_as_sentences(as_json=False):
        code = run_server(context.obj.settings)
    raise typer.Exit(code)


@app.command()
def settings(as_json: AsJson = False) -> None:
    """List the environment variables, their defaults and what they mean."""
    if as_json:
        print_json([{"name": row.variable, "default": row.default, "meaning": row.reason} for row in TABLE])
    else:
        print_table("Settings", ["variable", "default", "meaning"], [(s.variable, s.default, s.reason) for s in TABLE])


def _print_registration(model: RegisteredModel, scan: Scan, as_json: bool) -> None:
    document = registration_document(model, scan)
    if as_json:
        print_json(document)
        return
    versions = f" and {document['version_count']} versions" if scan.versions else ""
    print_text(
        f"{model.name}: {document['symbol_count']} symbols in {document['group_count']} groups{versions} of "
        f"{model.root_path}"
    )
    if model.refresh_error is not None:
        print_text(f"An older scan is in service. {model.refresh_error}")
    print_findings(scan.all_findings())


def _print_group(group: Group) -> None:
    model, training = group.model, group.training
    rows = [
        ("symbol", group.symbol),
        ("return", group.return_name),
        ("features", group.feature_dim),
        ("objective", model.objective if model else None),
        ("trees", model.num_trees if model else None),
        ("model", model.source if model else "missing"),
        ("trained", f"{training.start_date} to {training.end_date}"),
        ("samples", training.samples),
        ("read at", group.read_at),
    ]
    print_table(group.group_key, ["what", "value"], rows)
