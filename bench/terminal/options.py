"""What an option's text means. Raises BadInput with how it should be."""

from collections.abc import Callable, Iterable

from bench.terminal.errors import BadInput


def either(words: Iterable[str]) -> str:
    """Words to choose from, as a help text has them: "linear, relu or tanh"."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


def integers(name: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        like = "0, 0,1 or all" if name == "device" else "16,256,1000"
        raise BadInput(f"--{name} is {text!r}, should be whole numbers like {like}") from None


def devices(text: str | None, present: Callable[[], int]) -> int | list[int] | None:
    """From 0, 0,1 or all; `present` counts those that are here: the first even if there is none."""
    if text is None:
        return None
    numbers = list(range(present())) or [0] if text == "all" else integers("device", text)
    return numbers[0] if numbers and len(numbers) == 1 else numbers


SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration(text: str | None, name: str = "--budget") -> float | None:
    """From 90, 90s, 5m or 1h to seconds."""
    if text is None:
        return None
    unit = text[-1:] if text[-1:] in SECONDS else ""
    try:
        seconds = float(text.removesuffix(unit)) * SECONDS.get(unit, 1)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BadInput(f"{name} is {text!r}, should be like 90s, 5m or 1h")
    return seconds


def percent(text: str, name: str = "--slower-than", least: float = 0.025) -> float:
    """From 5% or 5 to 0.05."""
    try:
        ratio = float(text.removesuffix("%")) / 100
    except ValueError:
        ratio = 0.0
    if not least < ratio < 10:
        raise BadInput(
            f"{name} is {text!r}, should be like 5%, over {100 * least:g}% and under 1000%"
        )
    return ratio
