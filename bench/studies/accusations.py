"""Does the judge accuse honest kernels? Layers as trained models have them, in every precision.

    python -m bench.studies.accusations [LAYERS] [SEED]    # needs all: make setup KERNELS=all

Each of 150 layers has a kind of numbers, a shape, an activation and a precision drawn at random,
and is read from a file as a user's would be. Every kernel that runs here answers the three inputs
of a visit, ten times drawn anew, and so does a loop that begins its sums with the bias
(kernels/bias_first.py). No answer is timed. One that should be accused is counted by itself: JAX's
compiler flushes subnormal numbers to zero on a CPU, which is wrong where the weights are subnormal.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kernels
from bench.ipc import memory, outputs
from bench.ipc.outputs import INPUT_OF, LABELS, Wrong
from bench.judge.check import ROUNDING
from bench.judge.judge import Judge
from bench.plan import weights
from bench.plan.case import Case, Weights
from bench.plan.sweep import Named
from bench.studies import write
from bench.terminal.errors import BadInput

OWN = Path(__file__).parent / "kernels" / "bias_first.py"

Numbers = NDArray[np.float64]
Change = Callable[[Numbers, Numbers, np.random.Generator], None]


def _part(values: Numbers, generator: np.random.Generator) -> Any:
    """Some of the columns, drawn at random."""
    return np.s_[:, generator.random(values.shape[1]) < generator.random()]


def _pruned(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    where = _part(W, generator)
    W[where] = 0
    b[where[1]] = 0


def _padded(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W[int(generator.integers(1, len(W) + 1)) :] = 0


def _masked(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    b[generator.random(len(b)) < 0.5] = -3e38


def _outlier(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W[generator.integers(len(W)), generator.integers(W.shape[1])] = 3e4


def _one(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W[:] = 0
    W[generator.integers(len(W)), generator.integers(W.shape[1])] = 1e-7


def _sparse(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W[generator.random(W.shape) < 0.95] = 0
    W[0, 0] = 0.1


def _scales(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W *= np.logspace(generator.uniform(-30, 0), 0, W.shape[1])
    b *= 0


def _spread(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W *= np.logspace(-3, 3, len(W))[:, np.newaxis]


def _mean(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    b += 10.0 ** generator.uniform(0, 6)


def _large_bias(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    b *= 10.0 ** generator.uniform(0, 6)


def _subnormal(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W *= 1e-39


def _tiny(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W *= 10.0 ** generator.uniform(-6, 0)
    b *= 10.0 ** generator.uniform(-6, 0)


def _as_drawn(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    pass


def _negative_zeros(W: Numbers, b: Numbers, generator: np.random.Generator) -> None:
    W[generator.random(W.shape) < 0.5] = -0.0
    b[:] = -0.0


KINDS: dict[str, Change] = {
    change.__name__.lstrip("_"): change
    for change in (
        *(_as_drawn, _pruned, _padded, _masked, _outlier, _one, _sparse, _scales, _spread, _mean),
        *(_large_bias, _subnormal, _tiny, _negative_zeros),
    )
}


@dataclass
class Count:
    """Of one kernel, precision and sort of weights."""

    answers: int = 0
    accused: int = 0
    largest: float = 0.0  # RMS error, over its limit


DRAWS = 10
"""Of the three inputs, for each layer."""


def layer(kind: str, case: Case, path: Path, generator: np.random.Generator) -> Named:
    """A layer in a file, as it is read."""
    W = generator.standard_normal((case.n_in, case.n_units)) / np.sqrt(case.n_in)
    b = generator.standard_normal(case.n_units)
    KINDS[kind](W, b, generator)
    with np.errstate(over="ignore", under="ignore"):
        held = kernels.DTYPES[case.precision]
        np.savez(path, W=W.astype(held), b=b.astype(held))
    return weights.find(str(path)).layer


def a_case(generator: np.random.Generator) -> Case:
    """A shape, precision and activation at random; small sizes are as likely as large ones."""
    n_in, n_units, batch = (int(2 ** generator.uniform(0, most)) for most in (11, 9, 6))
    precision, activation = (
        str(generator.choice(names)) for names in (list(kernels.DTYPES), list(kernels.ACTIVATIONS))
    )
    return Case(n_in, n_units, batch, precision, activation, "layer")


def answers(
    name: str, judges: Sequence[Judge], case: Case, own: Weights, file: int
) -> list[float | str]:
    """What judges say of a kernel's answers to their inputs: the RMS error, or what is wrong."""
    shared = judges[0].shared(case, own)
    layer = kernels.Layer(shared.W.copy(), shared.b.copy(), case.activation, case.precision)
    step = kernels.load(name).prepare(layer, case.batch)
    told: list[float | str] = []
    for judge in judges:
        shared = judge.shared(case, own)
        for label in LABELS:
            out = step.launch(step.send(shared.input(INPUT_OF[label]).copy()))
            step.device.fence(out)
            outputs.write(file, label, step.fetch(out))
            try:
                told.append(judge.check(case, own, [label], file) or 0.0)
            except Wrong as wrong:
                told.append(f"{label}: {wrong}")
    step.close()
    return told


def main(layers: int, seed: int) -> None:
    """Write results/studies/accusations.csv, print it."""
    generator = np.random.default_rng(seed)
    judges, file = [Judge(0) for _ in range(DRAWS)], memory.anonymous("outputs")
    counts: dict[tuple[str, str, str], Count] = defaultdict(Count)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(layers):
            case = a_case(generator)
            kind = list(KINDS)[number % len(KINDS)]
            weights_kind = "subnormal" if kind == "subnormal" else "normal"
            try:
                found = layer(kind, case, Path(folder) / f"{number}.npz", generator)
                assert found.weights is not None
                weights.refuse_unfit(found.weights, found, case.precision)
                judges[0].draw(case, found.weights)
            except BadInput:  # infinities, or nothing but zeros, or flat whatever the input
                counts["(not measured)", case.precision, weights_kind].answers += 1
                continue
            for name in (*kernels.names(), str(OWN)):
                try:
                    told = answers(name, judges, case, found.weights, file)
                except (kernels.Unavailable, kernels.Unsupported):
                    continue
                count = counts[Path(name).stem, case.precision, weights_kind]
                limit = ROUNDING[case.precision].limit
                for said in told:
                    count.answers += 1
                    if isinstance(said, str):
                        count.accused += 1
                        print(f"{Path(name).stem}, {kind}, {case}: {said}")
                    else:
                        count.largest = max(count.largest, said / limit)
    rows = [
        {
            "kernel": kernel,
            "precision": precision,
            "weights": weights_kind,
            "answers": count.answers,
            "accused": count.accused,
            "largest_error_over_limit": count.largest,
        }
        for (kernel, precision, weights_kind), count in sorted(counts.items())
    ]
    write("accusations", rows)
    flushed = ("jax_dense", "subnormal")
    honest = [
        count
        for (kernel, _, kind), count in counts.items()
        if (kernel, kind) != flushed and kernel != "(not measured)"
    ]
    print(
        f"{sum(count.accused for count in honest)} of {sum(count.answers for count in honest)}"
        " answers of honest kernels were called wrong; the largest error was"
        f" {max(count.largest for count in honest):.2f} of its limit"
    )
    flushing = [count for (kernel, _, kind), count in counts.items() if (kernel, kind) == flushed]
    print(
        f"JAX on subnormal weights: {sum(count.accused for count in flushing)} of"
        f" {sum(count.answers for count in flushing)}"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:] + ["150", "1"][len(sys.argv) - 1 :]
    main(int(arguments[0]), int(arguments[1]))
