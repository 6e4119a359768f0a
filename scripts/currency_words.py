"""Writes neuroon_async/catalogs/values/currency_words.py from the data of babel (https://babel.pocoo.org).

uv run --with babel==2.18.0 python scripts/currency_words.py
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import babel
from babel import Locale
from babel.numbers import get_currency_name

LOCALES = (
    "es es_AR es_BO es_CL es_CO es_CR es_DO es_GT es_HN es_MX es_NI es_PA es_PE es_PY es_UY en en_GB en_CA en_AU fr "
    "fr_CH fr_CA de de_CH it it_CH pt pt_BR ca eu gl bg cs da el fi hr hu is nb nl nn pl ro ro_MD ru sk sl sq sr "
    "sr_Latn sv tr uk mk bs"
)
CURRENCIES = (
    "EUR GBP CHF SEK NOK DKK ISK PLN CZK HUF RON BGN RSD MKD ALL BAM MDL UAH RUB TRY USD CAD AUD MXN ARS BRL CLP COP "
    "CRC DOP GTQ HNL NIO PAB PEN PYG UYU BOB VES"
)
ADJECTIVES = frozenset({"nova", "novi", "nueva", "nuevo", "nou", "den", "der", "das", "van", "convertible"})
TARGET = Path(__file__).parents[1] / "neuroon_async/catalogs/values/currency_words.py"


def words() -> dict[str, set[str]]:
    """Word → the codes that it may mean."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in LOCALES.split():
        locale = Locale.parse(name)
        nouns: dict[str, set[str]] = defaultdict(set)
        for code in CURRENCIES.split():
            symbol = locale.currency_symbols.get(code)
            if symbol and symbol.casefold() != code.casefold():
                found[symbol].add(code)
            for count in (None, 1, 2, 5):
                text = get_currency_name(code, count=count, locale=locale)
                for word in text.split():
                    nouns[word].add(code)
        for word, codes in nouns.items():  # what several currencies share is the noun: "kronor", "lei", "pesos"
            if (len(codes) > 1 or codes == {"EUR"}) and word.casefold() not in ADJECTIVES and len(word) > 2:
                found[word] |= codes
    folded: dict[str, set[str]] = defaultdict(set)
    for word, codes in found.items():
        plain = " ".join(word.replace("\u00a0", " ").casefold().split()).rstrip(".")
        if not re.search(r"[0-9() ]", plain) and len(plain) > 1 and plain.upper() not in CURRENCIES.split():
            folded[plain] |= codes
    return folded


def main() -> None:
    """Write the table."""
    lines = [f'    "{word}": "{" ".join(sorted(codes))}",' for word, codes in sorted(words().items())]
    TARGET.write_text(
        '"""Words and signs for currencies in the languages of the markets. Generated: do not edit.\n\n'
        f"From the data of babel {babel.__version__}, by ``python scripts/currency_words.py``.\n"
        '"""\n\nfrom __future__ import annotations\n\n__all__ = ["CURRENCY_WORDS"]\n\n'
        "# ruff: noqa: RUF001\nCURRENCY_WORDS: dict[str, str] = {\n" + "\n".join(lines) + "\n}\n"
        '"""Case-folded, without a final full stop → the codes that it may mean."""\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
