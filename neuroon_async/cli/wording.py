"""What the readers of catalogs advise, in the words of the command: they name Python arguments, users have options."""

from __future__ import annotations

__all__ = ["in_options"]

_OPTIONS = {
    "fit=True cuts": "--fit cuts",
    "the shop's address (shop_url)": "the shop's address (--shop-url)",
    "(decimal='.' or decimal=',')": "(--decimal . or --decimal ,)",
    "shop_url must be": "--shop-url must be",
    "give format='csv'": "give --format csv",
}


def in_options(text: str) -> str:
    """The text with every argument it advises replaced by the option of the same meaning."""
    for argument, option in _OPTIONS.items():
        text = text.replace(argument, option)
    return text
