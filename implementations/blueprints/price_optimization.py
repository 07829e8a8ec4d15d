"""Prices and what they sold: how demand answers a price, where it is going, and where a price stands.

Elasticity, trend and the range of prices belong to a product and are learnt from its rows up to `as_of`; other rows of
that product get the same numbers, rows of a product that was not there get none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.prepare.blueprint import Blueprint, Feature, Field, Learnt, Plot, Rule

if TYPE_CHECKING:
    import pandas as pd

PROVIDES = {
    "kind": "blueprint",
    "name": "price_optimization",
    "object": "BLUEPRINT",
    "summary": "Prices and sales: revenue, elasticity, trend of demand, position of the price",
}
FEWEST_PRICES = 3
LEARNT = ("price_elasticity", "price_elasticity_se", "demand_trend", "lowest", "highest")
WOOLDRIDGE = "Wooldridge, Introductory Econometrics, chapters 2 (constant elasticity) and 2-5 (standard error)"

FIELDS = (
    Field("product_id", "identifier", critical=True, description="the product; it has many rows"),
    Field("price", "number", critical=True, minimum=0, description="of one piece"),
    Field("quantity_sold", "number", critical=True, minimum=0, description="pieces sold at that price"),
    Field("date", "datetime", critical=True, description="of the sale"),
)

FEATURES = (
    Feature(
        "revenue", ("price", "quantity_sold"), unit="money", source="definition", formula="price * quantity_sold"
    ),
    Feature(
        "price_elasticity", ("product_id", "price", "quantity_sold", "date"), unit="percent per percent",
        source=WOOLDRIDGE,
        formula="b of ln(quantity_sold) = a + b ln(price), least squares over the product's rows up to as_of; "
        "missing of fewer than three distinct prices, or where a price or quantity is not above 0",
    ),
    Feature(
        "price_elasticity_se", ("product_id", "price", "quantity_sold", "date"), unit="percent per percent",
        source=WOOLDRIDGE, formula="sqrt(sum of squared residuals / (n - 2) / sum of squared deviations of ln(price))",
    ),
    Feature(
        "demand_trend", ("product_id", "quantity_sold", "date"), unit="pieces per day, per day",
        source="slope of a line by least squares",
        formula="slope of the quantity of a day over the day, of the days that have a sale up to as_of; missing of one",
    ),
    Feature(
        "price_position", ("product_id", "price"), unit="0 (lowest) to 1 (highest)", source="min-max position",
        formula="(price - lowest) / (highest - lowest) of the product's prices up to as_of; 0.5 if it had one",
    ),
)  # fmt: skip


def learn(frame: pd.DataFrame, as_of: pd.Timestamp) -> Learnt:
    """What belongs to each product.

    Returns
    -------
    dict
        `product`, and of each: price_elasticity, price_elasticity_se, demand_trend, lowest, highest (None where
        missing); `why`, {feature: [why it is missing of a product]}.
    """
    learnt: Learnt = {"product": [], **{name: [] for name in LEARNT}}
    why: dict[str, list[str]] = {"price_elasticity": [], "demand_trend": []}
    for product, days, price, quantity in _by_product(frame[frame["date"] <= as_of]):
        slope, error, lacking = elasticity(price, quantity)
        trend, short = demand_trend(days, quantity)
        found = (slope, error, trend, float(price.min()), float(price.max()))
        learnt["product"].append(product)
        for name, value in zip(LEARNT, found, strict=True):
            learnt[name].append(value)
        for name, reason in (("price_elasticity", lacking), ("demand_trend", short)):
            if reason:
                why[name].append(f"{product}: {reason}")
    return {**learnt, "why": {**why, "price_elasticity_se": why["price_elasticity"]}}


def _by_product(sales: pd.DataFrame) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Each product in order, with the days, prices and quantities of its sales."""
    import numpy as np
    import pandas as pd

    codes, products = pd.factorize(names(sales["product_id"]), sort=True)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(products)))
    days = sales["date"].to_numpy("datetime64[D]").astype("int64")[order]
    price, quantity = (sales[name].to_numpy("float64")[order] for name in ("price", "quantity_sold"))
    for product, start, end in zip(products.tolist(), [0, *ends.tolist()], ends.tolist(), strict=False):
        yield product, days[start:end], price[start:end], quantity[start:end]


def names(products: pd.Series) -> Any:
    """Each product by its name in letters: 7, 7.0 and "7" are one, as other rows of a file make texts of numbers."""
    import numpy as np
    import pandas as pd

    codes, levels = pd.factorize(products)
    return np.array([*(str(int(each)) if _is_whole(each) else str(each) for each in levels), None], dtype=object)[codes]


def _is_whole(product: Any) -> bool:
    import numpy as np

    return isinstance(product, (float, np.floating)) and float(product).is_integer()


def elasticity(price: Any, quantity: Any) -> tuple[float | None, float | None, str]:
    """The slope of ln(quantity) over ln(price) by least squares, its standard error, and why there is none."""
    import numpy as np

    if not ((price > 0).all() and (quantity > 0).all()):
        return None, None, "a price or quantity that is not above zero has no logarithm"
    if len(np.unique(np.log(price))) < FEWEST_PRICES:
        return None, None, f"fewer than {FEWEST_PRICES} distinct prices"
    slope, squares, residuals = _line(np.log(price), np.log(quantity))
    return slope, float(np.sqrt((residuals**2).sum() / (len(price) - 2) / squares)), ""


def demand_trend(days: Any, quantity: Any) -> tuple[float | None, str]:
    """The slope of the quantity of a day over the day, and why there is none."""
    import numpy as np

    distinct, places = np.unique(days, return_inverse=True)
    if len(distinct) < 2:
        return None, "fewer than two days"
    with np.errstate(over="ignore", invalid="ignore"):
        slope = _line(distinct.astype("float64"), np.bincount(places, weights=quantity))[0]
    return (slope, "") if np.isfinite(slope) else (None, "quantities too great to be reckoned with")


def _line(x: Any, y: Any) -> tuple[float, float, Any]:
    """Least squares of y over x: the slope, the sum of squared deviations of x, the residuals."""
    across, up = x - x.mean(), y - y.mean()
    squares = float((across**2).sum())
    slope = float((across * up).sum() / squares)
    return slope, squares, up - slope * across


def make(frame: pd.DataFrame, as_of: pd.Timestamp, learnt: Learnt) -> pd.DataFrame:
    """Revenue and position of each row; elasticity and trend of its product."""
    import numpy as np
    import pandas as pd

    price = frame["price"].to_numpy("float64")
    places = pd.Index(learnt["product"], dtype=object).get_indexer(pd.Index(names(frame["product_id"]), dtype=object))
    of_product = {name: np.array([*learnt[name], np.nan], dtype="float64")[places] for name in LEARNT}
    with np.errstate(over="ignore", invalid="ignore"):
        spread = of_product["highest"] - of_product["lowest"]
        revenue = price * frame["quantity_sold"].to_numpy("float64")
    moved = spread > 0
    position = np.where(moved, (price - of_product["lowest"]) / np.where(moved, spread, 1.0), 0.5)
    made = {
        "revenue": revenue,
        **{name: of_product[name] for name in LEARNT[:3]},
        "price_position": np.where(np.isnan(spread), np.nan, position),
    }
    return pd.DataFrame(made, index=frame.index)


def _price_above_zero(frame: pd.DataFrame) -> pd.Series:
    return ~(frame["price"] <= 0)


def _seen_once(frame: pd.DataFrame) -> pd.Series:
    return ~frame[["product_id", "date", "price", "quantity_sold"]].duplicated()


BLUEPRINT = Blueprint(
    name="price_optimization",
    description="Prices and what they sold: one row a product and sale",
    fields=FIELDS,
    features=FEATURES,
    identifier=(),  # a product may sell at several prices, or twice at one, on a day
    time="date",
    learn=learn,
    make=make,
    rules=(
        Rule(
            "price_above_zero",
            ("price",),
            _price_above_zero,
            severity="high",
            message="the price is not above zero: the product has no elasticity",
        ),
        Rule(
            "row_seen_once",
            ("product_id", "date", "price", "quantity_sold"),
            _seen_once,
            severity="medium",
            message="the same product, date, price and quantity again: a row loaded twice?",
        ),
    ),
    thresholds={"completeness": 0.95, "uniqueness": 1.0, "validity": 0.98, "score": 80},
    plots=(
        Plot("Price and quantity", "scatter", "price", "quantity_sold"),
        Plot("Elasticity of the products", "histogram", "price_elasticity"),
        Plot("Where prices stand", "histogram", "price_position"),
        Plot("Revenue by day", "line", "date", "revenue"),
    ),
)
