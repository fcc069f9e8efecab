"""``mmctr-kit items``: item embeddings, made and written."""

from typer import Typer

from mmctr_kit.cli.items import align, encode, export, factors, quality, quantise

app = Typer(
    no_args_is_help=True,
    help="""Make item embeddings of text, covers and who took what.

[bold]Examples[/bold]

  mmctr-kit items encode DATA --text words --image colours
  mmctr-kit items factors --data DATA""",
)
app.callback()(lambda: None)
app.command("encode")(encode.encode)
app.command("quality")(quality.quality)
app.command("align")(align.align)
app.command("factors")(factors.factors)
app.command("export")(export.export)
app.command("quantise")(quantise.quantise)
