"""Who trains what on a cluster: told by the nodes, shown to whoever started the grid."""

import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

SHOWN = 40  # trials that train, at most, in a terminal's table


@dataclass
class Row:
    """How far a trial is."""

    name: str
    epochs: int
    images: int = 0  # to train on in an epoch
    state: str = "waiting"  # then "running", and at the end what grid.json has
    node: str = ""
    done: int = 0
    val_acc: float | None = None
    speed: float | None = None  # training images a second, validation's time included
    begun: int = 0  # times that a node took it in hand
    note: str = ""


class Board:
    """What the nodes tell. One of Ray's actors, on the driver's node."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.begun: dict[int, int] = {}
        self.stopping = False

    def begin(self, number: int, node: str) -> bool:
        """A node takes a trial in hand; True where it is to leave it."""
        if not self.stopping:
            self.begun[number] = self.begun.get(number, 0) + 1
            values = {"state": "running", "node": node, "begun": self.begun[number], "speed": None}
            self.told.append((number, values))
        return self.stopping

    def tell(self, number: int, **values: Any) -> bool:
        """Note values of a trial's `Row`; True where it is to stop after this epoch."""
        self.told.append((number, values))
        return self.stopping

    def stop(self) -> None:
        self.stopping = True

    def news(self) -> list[tuple[int, dict[str, Any]]]:
        """What was told since the last time."""
        news, self.told = self.told, []
        return news


class Display:
    """Prints what becomes of the trials: a live table in a terminal, else lines.

    Args:
        rows: by the trials' numbers.
    """

    def __init__(self, rows: dict[int, Row]) -> None:
        self.rows, self.start, self.last = rows, time.monotonic(), 0.0
        self.live: Any = None
        if sys.stdout.isatty():
            from rich.live import Live  # of the extra `cluster`

            self.live = Live(self.table(), refresh_per_second=2, transient=True)
            self.live.start()

    def close(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def say(self, text: str) -> None:
        """A line that stays, above the table where there is one."""
        if self.live:
            self.live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, flush=True)

    def tell(self, number: int, values: dict[str, Any]) -> None:
        """News of a trial."""
        row = self.rows[number]
        resumed = "done" in values and "val_acc" not in values and values["done"]
        for name, value in values.items():
            setattr(row, name, value)
        if "begun" in values:
            words = ["begins" if row.begun == 1 else "is taken up again", f"on {row.node}"]
        elif resumed:
            words = [f"goes on after epoch {row.done}/{row.epochs}"]
        elif "val_acc" in values:
            words = [f"epoch {row.done}/{row.epochs}", f"val acc {row.val_acc:.3f}"]
            words += [f"{row.speed:.0f} images/s", f"on {row.node}", row.note]
        elif "state" in values:
            words = [row.state, row.note]
        else:
            return
        self.say("  ".join([f"trial {number} {row.name}", *filter(None, words)]))

    def refresh(self) -> None:
        """Show how things stand: twice a second in a terminal, once a minute in a log."""
        if self.live:
            self.live.update(self.table())
        elif time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            self.say(self.summary())

    def summary(self) -> str:
        """Done, running, waiting and the time that is left."""
        states = [row.state for row in self.rows.values()]
        running, waiting = states.count("running"), states.count("waiting")
        ended = [state for state in states if state not in ("running", "waiting")]
        words = [f"{ended.count('finished')} done", f"{running} running", f"{waiting} waiting"]
        if others := len(ended) - ended.count("finished"):
            words.append(f"{others} not trained")
        words.append(f"{timedelta(seconds=round(time.monotonic() - self.start))} so far")
        if (left := self.left()) is not None:
            words.append(f"at most about {timedelta(seconds=round(left))} left")
        return ", ".join(words)

    def left(self) -> float | None:
        """Seconds until the last epoch of all, at the speed of now; None before any is known."""
        open_rows = [row for row in self.rows.values() if row.state in ("running", "waiting")]
        running = [row for row in open_rows if row.state == "running"]
        known = [row.speed for row in running if row.speed]
        if not known:
            return None
        speed = sum(known) / len(known) * len(running)
        return sum((row.epochs - row.done) * row.images for row in open_rows) / speed

    def table(self) -> Any:
        from rich.console import Group
        from rich.table import Table

        table = Table()
        for name in ("trial", "node"):
            table.add_column(name, overflow="fold")
        for name in ("epoch", "val acc", "images/s"):
            table.add_column(name, justify="right")
        table.add_column("state")
        shown = [row for row in self.rows.values() if row.state == "running"]
        for row in shown[:SHOWN]:
            table.add_row(
                row.name,
                row.node,
                f"{row.done}/{row.epochs}",
                "" if row.val_acc is None else f"{row.val_acc:.3f}",
                "" if row.speed is None else f"{row.speed:.0f}",
                row.state if row.begun < 2 else f"{row.state}, taken up again",
            )
        if len(shown) > SHOWN:
            table.add_row(f"and {len(shown) - SHOWN} more", *[""] * 5)
        return Group(self.summary(), table) if shown else self.summary()
