"""The rating, against worked examples and against plain loops over exact fractions."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calculators import aaa
from calculators.aaa import AAACalculator
from framework.errors import BaseFrameworkException, ColumnNotFoundError, ParameterError, UnknownNameError

# Written out again, so that a slip in the module's own tables is seen.
VALUATION = ["Fwd P/E", "PEG", "P/S", "P/B", "P/FCF"]
PROFITABILITY = ["Profit M", "Oper M", "Gross M", "ROE", "ROA"]
GROWTH = ["EPS this Y", "EPS next Y", "EPS next 5Y", "Sales Q/Q", "EPS Q/Q"]
PERFORMANCE = ["Perf Month", "Perf Quart", "Perf Half", "Perf Year", "Perf YTD", "Volatility M"]
PILLARS = {
    "valuation": VALUATION,
    "profitability": PROFITABILITY,
    "growth": GROWTH,
    "performance": PERFORMANCE,
}
METRICS = VALUATION + PROFITABILITY + GROWTH + PERFORMANCE
RATED = [*METRICS, *PILLARS, "overall"]
ADDED = [f"{kind} - {name}" for name in RATED for kind in ("score", "AAA")]
WORST_FIRST = ["F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+"]


def group(rows: int, columns: Mapping[str, Sequence[Any]] | None = None, **frame: Any) -> pd.DataFrame:
    """A group of so many stocks in which only the given metrics are known."""
    return pd.DataFrame({m: [math.nan] * rows for m in METRICS} | dict(columns or {}), **frame)


def scores(frame: pd.DataFrame, name: str, **options: Any) -> list[float]:
    return AAACalculator(**options).calculate(frame)[f"score - {name}"].tolist()


def grades(frame: pd.DataFrame, name: str, **options: Any) -> list[str]:
    return AAACalculator(**options).calculate(frame)[f"AAA - {name}"].tolist()


# --- the oracle: one cell at a time, exact -----------------------------------------------------------------------

Cell = Fraction | None


def exact(value: Any, *, multiple: bool) -> Cell:
    if value is None or math.isnan(value) or math.isinf(value):
        return None
    number = Fraction(value)
    return None if multiple and number <= 0 else number


def scaled(cells: list[Cell], scaling: str, *, lower: bool = False) -> list[Cell]:
    there = [c for c in cells if c is not None]
    answer: list[Cell] = []
    for cell in cells:
        if cell is None:
            answer.append(None)
        elif len(set(there)) == 1:
            answer.append(Fraction(5))
        elif scaling == "minmax":
            share = (cell - min(there)) / (max(there) - min(there))
            answer.append(10 * (1 - share if lower else share))
        else:
            below = sum(1 for c in there if (c > cell if lower else c < cell))
            equal = sum(1 for c in there if c == cell)
            answer.append(10 * (below + Fraction(equal - 1, 2)) / (len(there) - 1))
    return answer


def blended(columns: list[list[Cell]], weights: list[Fraction]) -> list[Cell]:
    answer: list[Cell] = []
    for cells in zip(*columns, strict=True):
        there = [(c, w) for c, w in zip(cells, weights, strict=True) if c is not None]
        weight = sum(w for _, w in there)
        if weight == 0 or 2 * weight < sum(weights):
            answer.append(None)
        else:
            answer.append(sum((c * w for c, w in there), Fraction(0)) / weight)
    return answer


def oracle(
    frame: pd.DataFrame, pillar_weights: Mapping[str, Any], scaling: str, metric_weights: Mapping[str, Any]
) -> dict[str, list[Cell]]:
    answer: dict[str, list[Cell]] = {}
    for metric in METRICS:
        cells = [exact(v, multiple=metric in VALUATION) for v in frame[metric].tolist()]
        answer[metric] = scaled(cells, scaling, lower=metric in VALUATION or metric == "Volatility M")
    for pillar, metrics in PILLARS.items():
        weights = [Fraction(str(metric_weights.get(m, 1))) for m in metrics]
        answer[pillar] = scaled(blended([answer[m] for m in metrics], weights), scaling)
    weights = [Fraction(str(pillar_weights.get(p, 0))) for p in PILLARS]
    answer["overall"] = scaled(blended([answer[p] for p in PILLARS], weights), scaling)
    return answer


def graded(score: Cell) -> str:
    if score is None:
        return "NR"
    return WORST_FIRST[max(k for k in range(13) if score * 13 >= 10 * k)]


def assert_rated_as_the_oracle(rated: pd.DataFrame, expected: Mapping[str, list[Cell]]) -> None:
    for name in RATED:
        got = rated[f"score - {name}"].tolist()
        want = [math.nan if c is None else float(c) for c in expected[name]]
        assert got == pytest.approx(want, abs=1e-7, nan_ok=True), name
        assert rated[f"AAA - {name}"].tolist() == [graded(c) for c in expected[name]], name


def small_numbers(rows: int, seed: int) -> pd.DataFrame:
    """Small whole numbers, halves and gaps: ties, edges and means that are equal on paper come up all the time.

    Drawn from a seed, since a failing group of single cells takes minutes to shrink and no reader is helped by it.
    """
    rng = np.random.default_rng(seed)
    cells = rng.integers(-3, 14, size=(rows, len(METRICS))) / rng.choice([1, 2], size=len(METRICS))
    gaps = rng.choice([math.nan, math.inf, -math.inf, -0.0], size=cells.shape)
    return pd.DataFrame(np.where(rng.random(cells.shape) < rng.choice([0, 0.1, 0.5]), gaps, cells), columns=METRICS)


def some_weights(seed: int) -> dict[str, float]:
    """A weight for each metric, and in each pillar at least one above 0."""
    rng = np.random.default_rng(seed)
    weights = {metric: float(rng.choice([0, 0.1, 0.2, 0.3, 0.6, 1, 2, 7])) for metric in METRICS}
    return weights | {metrics[0]: 1.0 for metrics in PILLARS.values() if not any(weights[m] for m in metrics)}


SEEDS = st.integers(0, 2**32 - 1)
GROUPS = st.builds(small_numbers, st.integers(0, 14), SEEDS)
METRIC_WEIGHTS = st.builds(some_weights, SEEDS)
PILLAR_WEIGHTS = st.dictionaries(st.sampled_from(list(PILLARS)), st.sampled_from([0, 0.1, 0.2, 0.3, 1, 7])).filter(
    lambda weights: any(weights.values())
)
ALMOST_ALIKE = group(4, {"ROE": [0, 1, 3, 10], "ROA": [0, 3, 7, 10], "Oper M": [10, 7, 1, 0]})


@settings(max_examples=300, deadline=None)
@given(GROUPS, PILLAR_WEIGHTS, st.sampled_from(["minmax", "rank"]), METRIC_WEIGHTS)
@example(ALMOST_ALIKE, {"profitability": 1}, "rank", dict.fromkeys(METRICS, 1))
def test_every_cell_is_what_the_formulas_give_on_paper(
    frame: pd.DataFrame, pillar_weights: dict[str, Any], scaling: Any, metric_weights: dict[str, Any]
) -> None:
    """Scores and grades of any group, at all levels, are those of exact arithmetic, cell by cell."""
    calculator = AAACalculator(None, None, pillar_weights, scaling, metric_weights)
    expected = oracle(frame, pillar_weights, scaling, metric_weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rated = calculator.calculate(frame)
    assert_rated_as_the_oracle(rated, expected)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=30), st.sampled_from(["minmax", "rank"]))
@example([1.7e308, -1.7e308, 0.0], "minmax")
@example([5e-324, 1e-323, 0.0], "minmax")
def test_any_floats_score_within_bounds_and_in_their_own_order(values: list[float], scaling: Any) -> None:
    """Least and largest finite value score 0 and 10 whatever their size, and none between is out of order."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = scores(group(len(values), {"ROE": values}), "ROE", scaling=scaling)
    pairs = sorted((v, s) for v, s in zip(values, got, strict=True) if math.isfinite(v))
    assert all(math.isnan(s) for v, s in zip(values, got, strict=True) if not math.isfinite(v))
    found = [s for _, s in pairs]
    assert found == sorted(found)
    if len({v for v, _ in pairs}) > 1 and scaling == "minmax":
        assert (found[0], found[-1]) == (0.0, 10.0)
    assert all(0 <= s <= 10 for s in found)


@settings(max_examples=100, deadline=None)
@given(GROUPS, st.sampled_from(["minmax", "rank"]))
def test_a_grade_is_the_exact_band_of_the_score_beside_it(frame: pd.DataFrame, scaling: Any) -> None:
    """Whoever reads a stored score can work out its grade with no tolerance at all."""
    rated = AAACalculator(scaling=scaling).calculate(frame)
    for name in RATED:
        want = [graded(None if math.isnan(s) else Fraction(s)) for s in rated[f"score - {name}"]]
        assert rated[f"AAA - {name}"].tolist() == want


# --- worked examples ---------------------------------------------------------------------------------------------


def test_higher_is_better_scores_from_0_to_10() -> None:
    """ROE 10 %, 20 %, 50 %: (x - 0.1) / 0.4 x 10."""
    assert scores(group(3, {"ROE": [0.1, 0.2, 0.5]}), "ROE") == pytest.approx([0, 2.5, 10])


@pytest.mark.parametrize("metric", [*VALUATION, "Volatility M"])
def test_lower_is_better_is_reversed(metric: str) -> None:
    """Of 10, 15 and 30 the lowest scores 10 and the middle (30 - 15) / 20 x 10."""
    assert scores(group(3, {metric: [10, 15, 30]}), metric) == pytest.approx([10, 7.5, 0])
    assert scores(group(3, {metric: [10, 15, 30]}), metric, scaling="rank") == pytest.approx([10, 5, 0])


@pytest.mark.parametrize("metric", [m for m in METRICS if m not in VALUATION and m != "Volatility M"])
def test_all_other_metrics_are_better_when_higher(metric: str) -> None:
    """Negative values included: a loss of 20 % is the worst, not missing."""
    assert scores(group(3, {metric: [-0.2, 0.0, 0.6]}), metric) == pytest.approx([0, 2.5, 10])


def test_rank_is_the_average_rank_within_those_that_are_there() -> None:
    """Ranks of 7, 1, 7, 3 are 3.5, 1, 3.5, 2; the missing one is not counted: (r - 1) / 3 x 10."""
    got = scores(group(5, {"ROE": [7, 1, math.nan, 7, 3]}), "ROE", scaling="rank")
    assert got == pytest.approx([25 / 3, 0, math.nan, 25 / 3, 10 / 3], nan_ok=True)


@pytest.mark.parametrize("scaling", ["minmax", "rank"])
@pytest.mark.parametrize("values", [[4.0], [4.0, 4.0, 4.0], [4.0, math.nan]])
def test_all_equal_is_5(scaling: str, values: list[float]) -> None:
    """Nothing tells them apart, so they are in the middle; one alone too."""
    got = scores(group(len(values), {"ROE": values}), "ROE", scaling=scaling)
    assert got == pytest.approx([math.nan if math.isnan(v) else 5 for v in values], nan_ok=True)
    assert grades(group(1, {"ROE": [4.0]}), "ROE", scaling=scaling) == ["C+"]


def test_missing_stays_missing() -> None:
    """A null, either infinity, and a multiple at or below 0 have no score and stretch no range; never 0."""
    frame = group(7, {"PEG": [1, math.nan, 3, math.inf, -math.inf, 0, -2]})
    assert scores(frame, "PEG") == pytest.approx([10, *[math.nan], 0, *[math.nan] * 4], nan_ok=True)
    assert grades(frame, "PEG") == ["A+", "NR", "F", "NR", "NR", "NR", "NR"]


def test_a_score_on_an_edge_takes_the_better_grade() -> None:
    """Fourteen stocks with ROE 0 to 13 score exactly k x 10/13: one on each edge, and two in A+."""
    frame = group(14, {"ROE": range(14)})
    assert grades(frame, "ROE") == [*WORST_FIRST, "A+"]
    assert grades(frame, "ROE", scaling="rank") == [*WORST_FIRST, "A+"]


@pytest.mark.parametrize("k", range(1, 13))
def test_just_below_an_edge_is_the_worse_grade(k: int) -> None:
    """A millionth of a point below k x 10/13 is not on it, and a millionth above is not the next grade."""
    edge = 10 * k / 13
    frame = group(4, {"ROE": [0, edge - 1e-6, edge + 1e-6, 10]})
    assert grades(frame, "ROE")[1:3] == [WORST_FIRST[k - 1], WORST_FIRST[k]]


def test_a_pillar_is_the_weighted_mean_scaled_again() -> None:
    """By hand, with Profit M counting twice; c and d have 3 of the weight 6, which is half.

    | stock | Profit M (x 2) | Oper M | Gross M | ROE | ROA | mean                             | again |
    | a     | 10             | 0      | 5       | 10  | 0   | (20 + 0 + 5 + 10 + 0) / 6 = 35/6 | 7.5   |
    | b     | 0              | 10     | 0       | 0   | 10  | (0 + 10 + 0 + 0 + 10) / 6 = 20/6 | 0     |
    | c     | 5              | -      | 10      | -   | -   | (10 + 10) / 3 = 40/6             | 10    |
    | d     | 5              | 5      | -       | -   | -   | (10 + 5) / 3 = 30/6              | 5     |
    | e     | -              | 5      | 5       | -   | -   | 2 of 6 is less than half         | -     |
    """
    gone = math.nan
    frame = group(
        5,
        {
            "Profit M": [0.4, 0.0, 0.2, 0.2, gone],
            "Oper M": [1, 3, gone, 2, 2],
            "Gross M": [2, 1, 3, gone, 2],
            "ROE": [9, 1, gone, gone, gone],
            "ROA": [1, 2, gone, gone, gone],
        },
    )
    got = scores(frame, "profitability", metric_weights={"Profit M": 2})
    assert got == pytest.approx([7.5, 0, 10, 5, math.nan], nan_ok=True)
    assert grades(frame, "profitability", metric_weights={"Profit M": 2}) == ["B+", "F", "A+", "C+", "NR"]


def test_less_than_half_of_a_pillar_is_not_rated() -> None:
    """Two of five metrics are not enough, three are; of performance's six, three are half."""
    two = {m: [1, 2] for m in GROWTH[:2]}
    assert grades(group(2, two), "growth") == ["NR", "NR"]
    assert grades(group(2, {**two, GROWTH[2]: [1, 2]}), "growth") == ["F", "A+"]
    assert grades(group(2, {m: [1, 2] for m in PERFORMANCE[:3]}), "performance") == ["F", "A+"]
    assert grades(group(2, {m: [1, 2] for m in PERFORMANCE[:2]}), "performance") == ["NR", "NR"]


def test_half_is_half_whatever_the_last_digit_of_the_weights() -> None:
    """Weights a, b, c in tenths with a + b = c: a and b are half, c is half, and in floats either may be less."""
    values: dict[str, list[float]] = {metric: [1, 2] for metric in GROWTH}
    for a, b in combinations(range(1, 10), 2):
        weights = dict(zip(GROWTH, [a / 10, b / 10, (a + b) / 10, 0, 0], strict=True))
        calculator = AAACalculator(metric_weights=weights)
        for there, expected in ((GROWTH[:2], ["F", "A+"]), (GROWTH[2:3], ["F", "A+"]), (GROWTH[:1], ["NR", "NR"])):
            rated = calculator.calculate(group(2, {metric: values[metric] for metric in there}))
            assert rated["AAA - growth"].tolist() == expected


def whole(pillars: Mapping[str, Sequence[float]], rows: int) -> pd.DataFrame:
    """A group whose pillars have the given scores (each from 0 to 10), by one value in all their metrics."""
    columns: dict[str, list[float]] = {}
    for pillar, wanted in pillars.items():
        for metric in PILLARS[pillar]:
            lower = metric in VALUATION or metric == "Volatility M"
            columns[metric] = [11 - s if lower else s for s in wanted]
    return group(rows, columns)


@pytest.mark.parametrize(
    ("strategy", "weights"),
    [
        ("balanced", [25, 25, 25, 25]),
        ("value", [50, 20, 15, 15]),
        ("growth", [20, 25, 40, 15]),
        ("quality", [20, 45, 20, 15]),
        ("momentum", [15, 20, 20, 45]),
        ({"growth": 3, "valuation": 1}, [1, 0, 3, 0]),
    ],
)
def test_overall_weighs_the_pillars_by_the_strategy(strategy: Any, weights: list[int]) -> None:
    """One stock for each pillar that is best in it alone: overall orders and spaces them as the weights do."""
    alone = {pillar: [10.0 if row == place else 0.0 for row in range(5)] for place, pillar in enumerate(PILLARS)}
    got = scores(whole(alone, 5), "overall", strategy=strategy)
    means = [w / sum(weights) for w in [*weights, 0]]
    assert got == pytest.approx([10 * m / max(means) for m in means])


def test_overall_needs_half_of_the_strategys_weight() -> None:
    """Valuation alone is half of `value` and less of `balanced`; a pillar without weight neither helps nor hurts."""
    frame = whole({"valuation": [0, 10]}, 2)
    assert grades(frame, "overall", strategy="value") == ["F", "A+"]
    assert grades(frame, "overall") == ["NR", "NR"]
    assert grades(frame, "overall", strategy={"valuation": 1, "growth": 0}) == ["F", "A+"]
    assert grades(frame, "overall", strategy={"growth": 1}) == ["NR", "NR"]


@pytest.mark.parametrize("scaling", ["minmax", "rank"])
def test_means_that_are_equal_on_paper_are_equal(scaling: Any) -> None:
    """Two stocks with the same scores in another order: in floats their sums may differ, and must not rate 10 and 0."""
    calculator = AAACalculator(scaling=scaling)
    for a, b, c in combinations([n / 11 for n in range(1, 11)], 3):
        columns = {"Profit M": [a, c, 0, 1], "Oper M": [b, b, 0, 1], "Gross M": [c, a, 0, 1]}
        rated = calculator.calculate(group(4, columns))
        pair = rated["score - profitability"]
        assert pair[0] == pair[1]
        alone = calculator.calculate(group(2, {m: v[:2] for m, v in columns.items()}))
        assert alone["score - profitability"].tolist() == [5, 5]


# --- the frame -----------------------------------------------------------------------------------------------------


def test_columns_come_in_order_with_their_dtypes() -> None:
    """The input's columns as they were, then score and grade of each metric, pillar and overall."""
    frame = group(2, {"ROE": [1, 2]}).assign(Ticker=["NA", "TRUE"], Volume=pd.array([1, None], dtype="Int64"))
    rated = AAACalculator().calculate(frame)
    assert list(rated.columns) == [*frame.columns, *ADDED]
    pd.testing.assert_frame_equal(rated[list(frame.columns)], frame)
    assert {str(rated[f"score - {name}"].dtype) for name in RATED} == {"float64"}
    assert {rated[f"AAA - {name}"].dtype for name in RATED} == {pd.Series(["A"]).dtype}


def test_an_empty_group_gives_an_empty_rating() -> None:
    """No rows, all columns, the same dtypes as with rows; empty columns of text are no obstacle."""
    full = AAACalculator().calculate(group(2, {"ROE": [1, 2]}))
    for empty in (group(0), group(0).astype(object)):
        rated = AAACalculator().calculate(empty)
        assert len(rated) == 0
        assert list(rated.columns) == [*METRICS, *ADDED]
        assert rated[ADDED].dtypes.tolist() == full[ADDED].dtypes.tolist()


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["b", "a", "b"], name="Ticker"),
        pd.Index([7, 7, 7]),
        pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)], names=["s", None]),
        pd.DatetimeIndex(["2026-01-02", "2026-01-01", None], tz="UTC"),
    ],
    ids=["text", "equal", "levels", "times"],
)
def test_any_index_stays_as_it_is(index: pd.Index) -> None:
    """Repeated and missing labels included; rows keep their order."""
    frame = group(3, {"ROE": [3, 1, 2]}).set_axis(index)
    rated = AAACalculator().calculate(frame)
    pd.testing.assert_index_equal(rated.index, index)
    assert rated["score - ROE"].tolist() == [10, 0, 5]


def test_the_given_frame_is_left_alone() -> None:
    """Values, columns and dtypes are what they were, and writing to the answer does not reach back."""
    frame = group(3, {"ROE": [3, 1, 2], "PEG": [-1, 2, math.inf]})
    before = frame.copy(deep=True)
    rated = AAACalculator().calculate(frame)
    rated.loc[:, "ROE"] = -99
    pd.testing.assert_frame_equal(frame, before)


def test_rating_a_rated_frame_replaces_the_rating() -> None:
    """The old score columns are neither kept nor doubled, and what only resembles them stays."""
    frame = group(3, {"ROE": [3, 1, 2]}).assign(**{"score - mine": [1, 2, 3]})
    once = AAACalculator().calculate(frame)
    pd.testing.assert_frame_equal(AAACalculator().calculate(once), once)
    stale = once.assign(**{"score - ROE": 77.0, "AAA - ROE": "A+"})
    pd.testing.assert_frame_equal(AAACalculator().calculate(stale), once)


@pytest.mark.parametrize(
    "cells",
    [
        pd.array([3, None, 1], dtype="Int64"),
        pd.array([3.0, None, 1.0], dtype="Float64"),
        pd.array([3, None, 1], dtype="int8[pyarrow]"),
        np.array([3, np.nan, 1], dtype="float32"),
        [Decimal(3), None, 1],
        pd.Categorical([3, None, 1]),
        [3, pd.NA, np.int64(1)],
    ],
    ids=["Int64", "Float64", "arrow", "float32", "decimal", "category", "object"],
)
def test_numbers_of_any_dtype_are_rated(cells: Any) -> None:
    """Nullable, Arrow, narrow and object columns give what float64 gives."""
    frame = group(3).assign(ROE=cells, ROA=[None, None, None])
    assert scores(frame, "ROE") == pytest.approx([10, math.nan, 0], nan_ok=True)


def test_a_column_that_is_nobodys_business_may_be_there_twice() -> None:
    """Only the metrics must be unambiguous."""
    frame = pd.concat([group(2, {"ROE": [1, 2]}), pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"])], axis=1)
    frame.columns.name = "field"
    rated = AAACalculator().calculate(frame)
    assert list(rated.columns) == [*METRICS, "x", "x", *ADDED]
    assert rated.columns.name == "field"


def test_the_order_of_rows_does_not_matter() -> None:
    """Each stock's rating is the same to the last bit when the group is shuffled."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(200, len(METRICS))), columns=METRICS)
    order = rng.permutation(200)
    rated = AAACalculator().calculate(frame)
    shuffled = AAACalculator().calculate(frame.iloc[order])
    pd.testing.assert_frame_equal(shuffled, rated.iloc[order], check_exact=True)


@pytest.mark.parametrize("scaling", ["minmax", "rank"])
def test_a_whole_market_is_rated_without_a_warning(scaling: Any) -> None:
    """Ten thousand stocks raise no warning of pandas' (it warns of frames built column by column)."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(1, 1, size=(10_000, len(METRICS))), columns=METRICS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(AAACalculator(scaling=scaling).calculate(frame)) == 10_000


# --- bad input -----------------------------------------------------------------------------------------------------


def test_missing_columns_are_all_named_with_what_resembles_them() -> None:
    """One message says everything that is lacking, and a misspelt one is recognised."""
    frame = group(1).drop(columns=["ROE", "PEG"]).rename(columns={"Volatility M": "Volatility (M)"})
    with pytest.raises(ColumnNotFoundError) as caught:
        AAACalculator().calculate(frame)
    told = str(caught.value)
    assert "3 are not there" in told
    assert all(f"'{name}'" in told for name in ("ROE", "PEG", "Volatility M"))
    assert "'Volatility M' (nearest: 'Volatility (M)')" in told


@pytest.mark.parametrize("bad", ["12%", True, np.bool_(False), 3 + 4j, pd.Timestamp("2026-01-01")])
def test_what_is_no_number_is_named(bad: Any) -> None:
    """The column, the first value at fault and its row are in the message."""
    frame = group(3).set_axis(["a", "b", "c"]).assign(ROE=pd.Series([1, bad, "later"], index=list("abc"), dtype=object))
    with pytest.raises(ParameterError) as caught:
        AAACalculator().calculate(frame)
    assert all(part in str(caught.value) for part in ("'ROE'", repr(bad), "'b'"))
    assert "later" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["bool", "boolean", "datetime64[ns]", "complex128"])
def test_a_column_of_another_kind_is_refused(dtype: str) -> None:
    """A yes or a date is not silently a number."""
    with pytest.raises(ParameterError, match="'ROE'"):
        AAACalculator().calculate(group(2).assign(ROE=pd.Series([1, 0]).astype(dtype)))


def test_a_metric_that_is_there_twice_is_refused() -> None:
    """Which of the two was meant cannot be known."""
    frame = group(2)
    with pytest.raises(ParameterError, match="'ROE' is there 2 times"):
        AAACalculator().calculate(pd.concat([frame, frame[["ROE"]]], axis=1))


def test_what_is_no_frame_is_refused() -> None:
    """A list of rows is told as what it is."""
    with pytest.raises(ParameterError, match="list"):
        AAACalculator().calculate([1, 2])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"strategy": "balancd"}, UnknownNameError, "Did you mean 'balanced'"),
        ({"strategy": {"valution": 1}}, UnknownNameError, "Did you mean 'valuation'"),
        ({"strategy": {"growth": -1}}, ParameterError, "pillar 'growth' is -1"),
        ({"strategy": {"growth": math.nan}}, ParameterError, "nan"),
        ({"strategy": {"growth": math.inf}}, ParameterError, "inf"),
        ({"strategy": {"growth": "1"}}, ParameterError, "'1'"),
        ({"strategy": {"growth": True}}, ParameterError, "True"),
        ({"strategy": {"growth": 0, "valuation": 0}}, ParameterError, "no pillar a weight above 0"),
        ({"strategy": {}}, ParameterError, "no pillar a weight above 0"),
        ({"strategy": None}, ParameterError, "None"),
        ({"strategy": ["growth"]}, ParameterError, "growth"),
        ({"scaling": "ranks"}, UnknownNameError, "Did you mean 'rank'"),
        ({"scaling": None}, UnknownNameError, "minmax"),
        ({"metric_weights": {"Fwd PE": 1}}, UnknownNameError, "Did you mean 'Fwd P/E'"),
        ({"metric_weights": {5: 1}}, UnknownNameError, "5"),
        ({"metric_weights": {"ROE": -0.5}}, ParameterError, "metric 'ROE' is -0.5"),
        ({"metric_weights": {"ROE": math.nan}}, ParameterError, "nan"),
        ({"metric_weights": dict.fromkeys(GROWTH, 0)}, ParameterError, "No metric of the pillar 'growth'"),
        ({"metric_weights": 3}, ParameterError, "3"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused_at_once(
    options: dict[str, Any], kind: type[BaseFrameworkException], told: str
) -> None:
    """Construction says what is wrong and what there is; no data is needed to find out."""
    with pytest.raises(kind) as caught:
        AAACalculator(**options)
    assert type(caught.value) is kind
    assert told in str(caught.value)


def test_weights_of_any_size_count_by_their_ratios() -> None:
    """Huge, tiny, whole or decimal: only what they are to one another matters."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(1, 1, size=(20, len(METRICS))), columns=METRICS)
    usual = scores(frame, "overall", strategy={"growth": 1, "valuation": 3})
    for one, three in ((5e307, 1.5e308), (1e-300, 3e-300), (Decimal("0.1"), Decimal("0.3")), (Fraction(1, 3), 1)):
        strategy = {"growth": one, "valuation": three}
        assert scores(frame, "overall", strategy=strategy) == pytest.approx(usual, nan_ok=True)


def test_the_weights_are_kept_as_they_were_given() -> None:
    """A mapping that its owner changes afterwards does not change the calculator."""
    strategy, weights = {"growth": 1.0}, {"ROE": 2.0}
    calculator = AAACalculator(strategy=strategy, metric_weights=weights)
    strategy["growth"], weights["ROE"] = 0.0, 0.0
    assert calculator.params["pillar_weights"]["growth"] == 1
    assert calculator.params["metric_weights"]["ROE"] == 2


@pytest.mark.parametrize("options", [{}, {"scaling": "rank"}, {"strategy": {"performance": 1}}], ids=str)
def test_a_sound_calculator_is_healthy(options: dict[str, Any]) -> None:
    """It rates two made-up stocks and finds the better one; and says no, without raising, when it cannot."""
    calculator = AAACalculator(**options)
    assert calculator.health_check() is True
    calculator.metric_weights = {}
    assert calculator.health_check() is False


def test_what_must_be_known_before_importing_is_a_literal() -> None:
    """The listing reads it from the file's text."""
    tree = ast.parse(Path(aaa.__file__).read_text(encoding="utf-8"))
    found = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", None) == "PROVIDES"]
    provides = ast.literal_eval(found[0].value)
    assert provides["kind"] == "calculator"
    assert provides["name"] == AAACalculator.name == "aaa"
    assert getattr(aaa, provides["object"]) is AAACalculator
    assert provides["extra"] is None
