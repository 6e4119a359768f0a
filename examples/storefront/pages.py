"""The shop's pages. Whatever comes from outside goes through `escape`."""

from collections.abc import Mapping
from decimal import Decimal
from html import escape
from pathlib import Path

from catalog import TEAS, Tea

from neuroon_async import Conversion, Number

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def page(title: str, content: str, *, widget: str, in_basket: int) -> str:
    """``widget`` is the script tag that turns ``#neuroon-search`` into a search box."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Leaf &amp; Label</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
  <a class="brand" href="/">Leaf <i>&amp;</i> Label</a>
  <div id="neuroon-search" role="search"></div>
  <a class="basket" href="/checkout">Basket <b>{in_basket}</b></a>
</header>
<main>{content}</main>
<footer>A demonstration shop. Nothing is sold, nothing is shipped.</footer>
{widget}
</body>
</html>"""


def shelf() -> str:
    cards = "".join(
        f"""<a class="card" href="/teas/{tea.sku}">{_label(tea)}
<h2>{escape(tea.name)}</h2><p>{escape(tea.origin)}</p><strong>{_euros(tea.price)}</strong></a>"""
        for tea in TEAS.values()
    )
    return f"""<section class="intro"><h1>Eight teas, chosen slowly.</h1>
<p>Small lots, packed by hand, 100 g each. Look around, or search above.</p></section>
<section class="shelf">{cards}</section>"""


def tea(tea: Tea) -> str:
    return f"""<article class="tea">{_label(tea)}
<div><p class="origin">{escape(tea.origin)}</p><h1>{escape(tea.name)}</h1><p>{escape(tea.note)}</p>
<form method="post" action="/basket">
<input type="hidden" name="sku" value="{escape(tea.sku)}">
<label>Tins <input type="number" name="quantity" value="1" min="1" max="20"></label>
<button>Add to basket · {_euros(tea.price)}</button>
</form></div></article>"""


def checkout(basket: Mapping[str, int]) -> str:
    if not basket:
        return (
            """<section class="intro"><h1>Your basket is empty.</h1><p><a href="/">Back to the teas</a></p></section>"""
        )
    rows = "".join(
        f"<tr><td>{escape(TEAS[sku].name)}</td><td>{quantity} &times; {_euros(TEAS[sku].price)}</td>"
        f"<td>{_euros(TEAS[sku].price * quantity)}</td></tr>"
        for sku, quantity in basket.items()
    )
    return f"""<section class="slip"><h1>Checkout</h1>
<table>{rows}<tr class="total"><td>Total</td><td></td><td>{_euros(total(basket))}</td></tr></table>
<form method="post" action="/checkout"><button>Place the order</button></form></section>"""


def thanks(order: Conversion) -> str:
    found, others = len(order.conversions), len(order.left_out)
    told = (
        f"{found} of {found + others} lines came from a search and will be reported."
        if found
        else "No line came from a search, so there is nothing to report."
    )
    return f"""<section class="slip thanks"><p class="tick">✓</p><h1>Thank you.</h1>
<p>Order <b>{escape(order.order_id)}</b> over {_euros(order.order_value)} is on its way.</p>
<p class="attribution">{told}</p><p><a href="/">Back to the teas</a></p></section>"""


def total(basket: Mapping[str, int]) -> Decimal:
    return sum((TEAS[sku].price * quantity for sku, quantity in basket.items()), Decimal(0))


def _label(tea: Tea) -> str:
    tin, leaf = tea.colors
    return f"""<svg class="label" viewBox="0 0 200 200" role="img" aria-label="{escape(tea.name)}">
<rect width="200" height="200" fill="{tin}"/>
<g transform="translate(100 104)" fill="{leaf}">
<path d="M0 58C-34 30-34-14 0-62C34-14 34 30 0 58Z"/>
<path d="M-6 62C-50 54-64 22-62-12C-34 0-14 26-6 62Z" opacity=".55"/>
<path d="M6 62C50 54 64 22 62-12C34 0 14 26 6 62Z" opacity=".55"/></g>
<path d="M100 46V176" stroke="{tin}" stroke-width="3" fill="none"/></svg>"""


def _euros(amount: Number) -> str:
    return f"€{amount:.2f}"
