"""``mmctr-kit items``: item embeddings, made and written."""

from typer import Typer

from mmctr_kit.cli.items import encode, export, quantise

app = Typer(no_args_is_help=True, help="Item embeddings: from text, covers and who took what.")
app.callback()(lambda: None)
app.command("encode")(encode.encode)
app.command("export")(export.export)
app.command("quantise")(quantise.quantise)
