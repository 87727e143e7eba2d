"""The `pullquote` command. Exit code 0: done; 1: a negative finding (no answer, damage); 2: misuse."""

from __future__ import annotations

import typer

from service.commands import asking, benching, doctor, journal, keeping, keying, mcp, serving

app = typer.Typer(
    name="pullquote",
    help="Ask your documents; get the quote.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serving.serve)
app.command()(keeping.index)
app.command()(keeping.watch)
app.command()(asking.ask)
app.command()(asking.search)
app.command("eval")(asking.evaluate)
app.command()(benching.bench)
app.command()(doctor.doctor)
app.command()(keeping.verify)
app.command()(keeping.snapshots)
app.command()(keeping.rollback)
app.add_typer(keeping.snapshot)
app.command()(journal.journal)
app.add_typer(keying.key)
app.command()(mcp.mcp)
app.command("export-model")(serving.export_model)
app.command("export-openapi")(serving.export_openapi)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
