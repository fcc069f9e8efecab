"""From a submission file to its table: zip, text, header, cells; every fault becomes a finding."""


def show(value: str | bytes, limit: int = 40) -> str:
    """Text from a file as a quoted, single-line, printable string."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")
