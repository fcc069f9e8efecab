"""A tracker that keeps its copies in memory, and what was done to it."""

from mmctr_kit.export.record import Record


class MemoryTracker:
    place = "memory"

    def __init__(self) -> None:
        self.copies: dict[str, Record] = {}
        self.done: list[tuple[str, str]] = []

    def digest(self, record: Record) -> str | None:
        copy = self.copies.get(record.key)
        return None if copy is None else copy.digest

    def remove(self, record: Record) -> None:
        self.done.append(("remove", record.name))
        del self.copies[record.key]

    def write(self, record: Record) -> None:
        self.done.append(("write", record.name))
        self.copies[record.key] = record
